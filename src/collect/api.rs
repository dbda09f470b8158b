//! The Kubernetes API, asked one question at a time: bounded in time, in tries and in memory.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::access::{self, AccessError, Route, Way};
use crate::config::Access;

/// Objects per page.
const PAGE: u32 = 500;
/// Times that a question is asked before it counts as not answered.
const TRIES: u32 = 5;
/// The same for what the API server passes on to other machines.
const FEW_TRIES: u32 = 2;
/// Longest that such an answer may take.
const PASSED_ON: Duration = Duration::from_secs(10);
/// How many of those are asked for at a time.
const AT_A_TIME: usize = 8;
/// Longest that the API server is obeyed when it says when to come back.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Pause before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(250);
const JSON: &str = "application/json";
/// How often a list is read that does not add up.
const LOOKS: u32 = 2;
/// How often what an access review allows is asked for again when it is refused: a server that starts refuses
/// everybody.
const REFUSALS: u32 = 5;
/// Asks for nothing but the metadata of a list's items.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Why the API server did not give what it was asked for. Nothing of what it answered is repeated: that may
/// hold what it was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no way to it.
    #[error("no access to a cluster: {0}")]
    Access(#[from] AccessError),
    /// The asking user may not.
    #[error("{path}: forbidden")]
    Forbidden {
        /// What was asked for.
        path: String,
    },
    /// There is no such thing.
    #[error("{path}: not found")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// The list being read is no longer kept.
    #[error("{path}: the list expired while it was being read")]
    Expired {
        /// What was asked for.
        path: String,
    },
    /// Another status than the one hoped for.
    #[error("{path}: HTTP status {code}")]
    Status {
        /// What was asked for.
        path: String,
        /// HTTP status.
        code: u16,
    },
    /// An answer that is not what was asked for.
    #[error("{path}: {reason}")]
    Unexpected {
        /// What was asked for.
        path: String,
        /// In what way.
        reason: String,
    },
    /// No answer.
    #[error("{path}: {reason}")]
    Silent {
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
}

impl ApiError {
    /// May it go better the next time?
    fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Unexpected { .. } => true,
            Self::Status { code, .. } => *code == 429 || *code >= 500,
            _ => false,
        }
    }
}

/// A way to a cluster.
pub struct Api {
    way: Way,
    client: kube::Client,
    runtime: Runtime,
    timeout: Duration,
    clock_ahead: Cell<Option<i64>>,
    /// Versions at which groups are served.
    groups: OnceCell<Option<BTreeMap<String, Vec<String>>>>,
}

/// An answer.
struct Answer {
    bytes: Vec<u8>,
    date: Option<jiff::Timestamp>,
}

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listable {
    /// API group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind of the objects.
    pub kind: String,
    /// Their resource: the plural in the path.
    pub resource: String,
}

impl Listable {
    /// `apiVersion` of the objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn path(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}/{}", self.api_version(), self.resource)
    }
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: PageMetadata,
    /// As they came: one object at a time is looked at, and its form in memory is several times as
    /// large. `null` is an empty list; without it, it is none.
    #[serde(default, deserialize_with = "items")]
    items: Option<Vec<Box<RawValue>>>,
}

fn items<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Box<RawValue>>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
    remaining_item_count: Option<u64>,
}

impl Page {
    /// Is it the list that was asked for?
    fn check(self, path: &str, api_version: &str, kind: &str) -> Result<Self, ApiError> {
        let unexpected =
            |reason: String| Err(ApiError::Unexpected { path: path.to_owned(), reason });
        if self.kind != kind || self.api_version != api_version {
            return unexpected(format!("the answer is no {kind} of {api_version}"));
        }
        if self.metadata.resource_version.is_empty() {
            return unexpected("the list has no resourceVersion".to_owned());
        }
        if self.items.is_none() {
            return unexpected("the list has no items".to_owned());
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default)]
    metadata: IdentityMetadata<'a>,
}

#[derive(Default, Deserialize)]
struct IdentityMetadata<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    reason: String,
}

#[derive(Deserialize)]
struct Groups {
    kind: String,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    kind: String,
    resources: Vec<Resource>,
}

/// A resource of a group at a version.
#[derive(Clone, Debug, Deserialize)]
pub struct Resource {
    /// The plural in paths.
    pub name: String,
    /// Kind of its objects.
    pub kind: String,
}

/// How a list was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its resource version; of the last beginning, when it had to be begun again.
    pub resource_version: String,
    /// How often it had to be begun again because it had expired (410).
    pub restarts: u32,
}

/// What of each object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All.
    Whole,
    /// Its metadata.
    Metadata,
}

impl Api {
    /// Opens a way to the cluster. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ApiError::Access`].
    pub fn open(access: &Access) -> Result<Self, ApiError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| AccessError::System(error.kind()))?;
        let way = Way::find(access)?;
        let guard = runtime.enter();
        let client = way.client();
        drop(guard);
        let timeout = Duration::from_secs(access.timeout_seconds);
        let clock_ahead = Cell::new(None);
        Ok(Self { way, client, runtime, timeout, clock_ahead, groups: OnceCell::new() })
    }

    /// How the cluster is reached.
    #[must_use]
    pub fn route(&self) -> &Route {
        self.way.route()
    }

    /// What the kubeconfig says to people who do not have its credential plugin.
    #[must_use]
    pub fn install_hint(&self) -> &str {
        self.way.install_hint()
    }

    /// Gets a document.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = || Request::get(path).header(ACCEPT, JSON).body(Body::empty());
        self.ask(&request, path)
    }

    /// Gets documents, several at a time and each in a few tries: for what is passed on to machines
    /// of which some may be down. `see` gets them in the order of `paths`.
    ///
    /// # Errors
    /// That of `see`.
    pub fn get_each<E>(
        &self,
        paths: &[String],
        mut see: impl FnMut(&str, Result<Value, ApiError>) -> Result<(), E>,
    ) -> Result<(), E> {
        for group in paths.chunks(AT_A_TIME) {
            let tasks: Vec<_> = group
                .iter()
                .map(|path| {
                    let (client, path) = (self.client.clone(), path.clone());
                    let timeout = self.timeout.min(PASSED_ON);
                    self.runtime.spawn(async move {
                        let request =
                            || Request::get(&path).header(ACCEPT, JSON).body(Body::empty());
                        let take = |answer: Answer| parse(&path, &answer.bytes);
                        insist(&client, timeout, FEW_TRIES, &request, &path, &take).await
                    })
                })
                .collect();
            for (path, task) in group.iter().zip(tasks) {
                let answer = self.runtime.block_on(task).unwrap_or_else(|error| {
                    Err(ApiError::Silent { path: path.clone(), reason: broken(&error) })
                });
                see(path, answer)?;
            }
        }
        Ok(())
    }

    /// Posts an object: a question that changes nothing (a review), or something to be made. It may be
    /// posted again when no answer came.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn post(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        let body = object.to_string().into_bytes();
        let request = || {
            Request::post(path)
                .header(ACCEPT, JSON)
                .header(CONTENT_TYPE, JSON)
                .body(Body::from(body.clone()))
        };
        self.ask(&request, path)
    }

    /// Reads a list page by page; `see` gets the objects of one page at a time, each object once.
    /// While it looks at them, the next page is fetched.
    ///
    /// A list that does not add up is read again, and `see` gets what it has not seen. What is refused
    /// although an access review allows it is asked for again.
    ///
    /// # Errors
    /// [`ApiError`], or that of `see`.
    pub fn list<E: From<ApiError>>(
        &self,
        what: &Listable,
        depth: Depth,
        mut see: impl FnMut(Vec<Box<RawValue>>) -> Result<(), E>,
    ) -> Result<Listed, E> {
        let mut listed = Listed::default();
        let mut seen: HashSet<String> = HashSet::new();
        let (mut looks, mut refusals) = (0, 0);
        let mut read = Read::default();
        let mut pending = Some(self.fetch(what, depth, ""));
        while let Some(task) = pending.take() {
            let page = self.runtime.block_on(task).unwrap_or_else(|error| {
                Err(ApiError::Silent { path: what.path(), reason: broken(&error) })
            });
            let page = match page {
                Ok(page) => page,
                Err(ApiError::Expired { .. }) if listed.restarts < TRIES => {
                    listed.restarts += 1;
                    read = Read::default();
                    pending = Some(self.fetch(what, depth, ""));
                    continue;
                }
                Err(error @ ApiError::Forbidden { .. }) => {
                    let may_pass = refusals < REFUSALS && self.may_list(what) == Some(true);
                    if !may_pass {
                        return Err(error.into());
                    }
                    std::thread::sleep(PAUSE * 2_u32.pow(refusals));
                    refusals += 1;
                    read = Read::default();
                    pending = Some(self.fetch(what, depth, ""));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let next = page.metadata.next.clone().unwrap_or_default();
            let mut items = page.items.unwrap_or_default();
            listed.resource_version = page.metadata.resource_version;
            let adds_up = read.page(items.len() as u64, page.metadata.remaining_item_count, &next);
            if !adds_up {
                looks += 1;
                if looks >= LOOKS {
                    let reason = "the list does not add up: it may not be whole".to_owned();
                    return Err(ApiError::Unexpected { path: what.path(), reason }.into());
                }
                read = Read::default();
                pending = Some(self.fetch(what, depth, ""));
            } else if !next.is_empty() {
                pending = Some(self.fetch(what, depth, &next));
            } else if read.may_go_on() && self.count(what, depth)? > read.objects {
                looks += 1;
                if looks >= LOOKS {
                    let reason = "the list ends before its objects do".to_owned();
                    return Err(ApiError::Unexpected { path: what.path(), reason }.into());
                }
                read = Read::default();
                pending = Some(self.fetch(what, depth, ""));
            }
            items.retain(|item| match serde_json::from_str::<Identity<'_>>(item.get()) {
                Ok(Identity { metadata: IdentityMetadata { uid } }) if !uid.is_empty() => {
                    seen.insert(uid.into_owned())
                }
                _ => true,
            });
            see(items)?;
        }
        Ok(listed)
    }

    /// How many objects there are, in one small question.
    fn count(&self, what: &Listable, depth: Depth) -> Result<u64, ApiError> {
        let page = self.runtime.block_on(self.fetch_some(what, depth, 1, ""));
        let page = page.unwrap_or_else(|error| {
            Err(ApiError::Silent { path: what.path(), reason: broken(&error) })
        })?;
        let items = page.items.unwrap_or_default().len() as u64;
        Ok(items + page.metadata.remaining_item_count.unwrap_or(0))
    }

    fn fetch(
        &self,
        what: &Listable,
        depth: Depth,
        next: &str,
    ) -> tokio::task::JoinHandle<Result<Page, ApiError>> {
        self.fetch_some(what, depth, PAGE, next)
    }

    fn fetch_some(
        &self,
        what: &Listable,
        depth: Depth,
        limit: u32,
        next: &str,
    ) -> tokio::task::JoinHandle<Result<Page, ApiError>> {
        let path = what.path();
        let mut address = format!("{path}?limit={limit}");
        if !next.is_empty() {
            address.push_str("&continue=");
            address.extend(percent_encoding::utf8_percent_encode(
                next,
                percent_encoding::NON_ALPHANUMERIC,
            ));
        }
        let (accept, api_version, kind) = match depth {
            Depth::Whole => (JSON, what.api_version(), format!("{}List", what.kind)),
            Depth::Metadata => {
                (METADATA_ONLY, "meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
            }
        };
        let (client, timeout) = (self.client.clone(), self.timeout);
        self.runtime.spawn(async move {
            let request = || Request::get(&address).header(ACCEPT, accept).body(Body::empty());
            let take = |answer: Answer| {
                parse::<Page>(&path, &answer.bytes)?.check(&path, &api_version, &kind)
            };
            insist(&client, timeout, TRIES, &request, &path, &take).await
        })
    }

    /// May the asking user list it? `None` when the server does not say.
    #[must_use]
    pub fn may_list(&self, what: &Listable) -> Option<bool> {
        self.may(&json!({"verb": "list", "group": what.group, "resource": what.resource}))
    }

    /// May the asking user do that (`resourceAttributes` of a SelfSubjectAccessReview)? `None` when the
    /// server does not say.
    #[must_use]
    pub fn may(&self, attributes: &Value) -> Option<bool> {
        let question = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = self.post(path, &question).ok()?;
        let is_review = review.get("kind")?.as_str()? == "SelfSubjectAccessReview";
        review.pointer("/status/allowed")?.as_bool().filter(|_| is_review)
    }

    /// Versions at which a group is served, its preferred one first; empty where it is not served, `None` where
    /// the server does not say.
    pub fn versions(&self, group: &str) -> Option<&[String]> {
        let groups = self.groups.get_or_init(|| {
            let found: Groups = self.get("/apis").ok()?;
            (found.kind == "APIGroupList").then(|| {
                let versions = |group: Group| {
                    (group.name, group.versions.into_iter().map(|v| v.version).collect())
                };
                found.groups.into_iter().map(versions).collect()
            })
        });
        groups.as_ref().map(|groups| groups.get(group).map_or(&[][..], Vec::as_slice))
    }

    /// Resources of a group at a version.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn resources(&self, group: &str, version: &str) -> Result<Vec<Resource>, ApiError> {
        let path = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        let found: Resources = self.get(&path)?;
        if found.kind == "APIResourceList" {
            Ok(found.resources)
        } else {
            let reason = "the answer is no APIResourceList".to_owned();
            Err(ApiError::Unexpected { path, reason })
        }
    }

    /// Does the server not have this kind at all? A `not found` by itself may come from anybody on the way.
    #[must_use]
    pub fn is_absent(&self, what: &Listable) -> bool {
        match self.versions(&what.group) {
            _ if what.group.is_empty() => false,
            None => false,
            Some(versions) if !versions.contains(&what.version) => true,
            Some(_) => self.resources(&what.group, &what.version).is_ok_and(|resources| {
                !resources.iter().any(|resource| resource.name == what.resource)
            }),
        }
    }

    /// Seconds by which the server's clock is ahead of ours, as of the first answer with a date.
    #[must_use]
    pub fn clock_ahead_seconds(&self) -> i64 {
        self.clock_ahead.get().unwrap_or(0)
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        request: &(dyn Fn() -> http::Result<Request<Body>> + Sync),
        path: &str,
    ) -> Result<T, ApiError> {
        let take = |answer: Answer| Ok((parse(path, &answer.bytes)?, answer.date));
        let asking = insist(&self.client, self.timeout, TRIES, request, path, &take);
        let (answer, date) = self.runtime.block_on(asking)?;
        if let (None, Some(date)) = (self.clock_ahead.get(), date) {
            let here =
                jiff::Timestamp::try_from(SystemTime::now()).map_or(0, jiff::Timestamp::as_second);
            self.clock_ahead.set(Some(date.as_second() - here));
        }
        Ok(answer)
    }

    /// The certificate (DER) with which the API server answers; `None` without TLS. It is asked for
    /// on a connection of its own, verified like the others.
    ///
    /// # Errors
    /// [`ApiError::Silent`].
    pub fn certificate(&self) -> Result<Option<Vec<u8>>, ApiError> {
        let path = self.way.route().server.clone();
        self.runtime
            .block_on(self.way.certificate())
            .map_err(|reason| ApiError::Silent { path, reason })
    }
}

/// Adds up the pages of a list.
#[derive(Debug, Default)]
struct Read {
    objects: u64,
    /// What the first pages said that there are in all.
    promised: Option<u64>,
    is_last_full: bool,
}

impl Read {
    /// Takes in a page. Does it agree with what the pages before it said?
    fn page(&mut self, items: u64, remaining: Option<u64>, next: &str) -> bool {
        self.objects += items;
        self.is_last_full = items >= u64::from(PAGE);
        if let Some(remaining) = remaining {
            self.promised = Some(self.objects + remaining);
        }
        let is_end = next.is_empty();
        let is_short = is_end && self.promised.is_some_and(|promised| self.objects < promised);
        let is_stuck = !is_end && items == 0;
        !is_short && !is_stuck
    }

    /// May there be more although the list has ended? A page that is not full is the last one.
    fn may_go_on(&self) -> bool {
        self.is_last_full
    }
}

/// A task that did not come to its end.
fn broken(error: &tokio::task::JoinError) -> String {
    if error.is_panic() { "it could not be asked" } else { "it was not asked" }.to_owned()
}

/// Asks until there is an answer that `take` takes, or until it is clear that there is none.
async fn insist<T>(
    client: &kube::Client,
    timeout: Duration,
    tries: u32,
    request: &(dyn Fn() -> http::Result<Request<Body>> + Sync),
    path: &str,
    take: &(dyn Fn(Answer) -> Result<T, ApiError> + Sync),
) -> Result<T, ApiError> {
    let mut wait = PAUSE;
    for tried in 1.. {
        let silent = |reason: String| ApiError::Silent { path: path.to_owned(), reason };
        let question = request().map_err(|_| silent("it cannot be asked for".to_owned()))?;
        let mut come_back = None;
        let error = match tokio::time::timeout(timeout, once(client, question, path)).await {
            Ok(Ok(answer)) => match take(answer) {
                Ok(taken) => return Ok(taken),
                Err(error) => error,
            },
            Ok(Err((error, after))) => {
                come_back = after;
                error
            }
            Err(_) => silent(format!("no answer within {} s", timeout.as_secs())),
        };
        if tried >= tries || !error.is_passing() {
            return Err(error);
        }
        tokio::time::sleep(come_back.unwrap_or(wait).min(MAX_WAIT)).await;
        wait *= 2;
    }
    Err(ApiError::Silent { path: path.to_owned(), reason: "not asked".to_owned() })
}

type Refusal = (ApiError, Option<Duration>);

async fn once(
    client: &kube::Client,
    question: Request<Body>,
    path: &str,
) -> Result<Answer, Refusal> {
    let silent = |error: kube::Error| {
        // What cannot be used does not get better by asking again.
        let error = match access::of_access(&error) {
            Some(error) => ApiError::Access(error),
            None => ApiError::Silent { path: path.to_owned(), reason: access::failure(&error) },
        };
        (error, None)
    };
    let response = client.send(question).await.map_err(silent)?;
    let (parts, body) = response.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let come_back = header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let bytes = body.collect_bytes().await.map_err(silent)?.to_vec();
    let path = path.to_owned();
    let error = match parts.status.as_u16() {
        200..=299 => {
            return Ok(Answer { bytes, date: date.map(|date| date.timestamp()) });
        }
        403 => ApiError::Forbidden { path },
        404 if is_of_api_server(&bytes) => ApiError::NotFound { path },
        410 => ApiError::Expired { path },
        code => ApiError::Status { path, code },
    };
    Err((error, come_back))
}

/// Is a `not found` an API server's own? What stands between answers so too.
fn is_of_api_server(bytes: &[u8]) -> bool {
    let status: Status = serde_json::from_slice(bytes).unwrap_or_default();
    (status.kind == "Status" && status.reason == "NotFound")
        || bytes.trim_ascii() == b"404 page not found"
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Unexpected {
        path: path.to_owned(),
        // Where, and not what: an answer may hold secrets.
        reason: format!(
            "the answer breaks off or is not what was asked for (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_do_not_add_up_are_noticed() {
        let adds_up = |pages: &[(u64, Option<u64>, &str)]| {
            let mut read = Read::default();
            let all = pages.iter().all(|(items, left, next)| read.page(*items, *left, next));
            (all, read.may_go_on())
        };
        assert_eq!(adds_up(&[(0, None, "")]), (true, false));
        assert_eq!(adds_up(&[(500, Some(3), "x"), (3, None, "")]), (true, false));
        // A server that does not count, and one that ends where a page does.
        assert_eq!(adds_up(&[(500, None, "x"), (3, None, "")]), (true, false));
        assert_eq!(adds_up(&[(500, None, "")]), (true, true));
        assert!(!adds_up(&[(500, Some(300), "")]).0);
        assert!(!adds_up(&[(500, Some(300), "x"), (200, None, "")]).0);
        assert!(!adds_up(&[(200, Some(0), "x"), (0, None, "y")]).0);
    }

    #[test]
    fn what_is_no_list_is_none() {
        let check = |text: &str| {
            let page = parse::<Page>("/api/v1/pods", text.as_bytes());
            page.and_then(|page| page.check("/api/v1/pods", "v1", "PodList")).is_ok()
        };
        let good =
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
        assert!(check(good));
        assert!(check(&good.replace("[]", "null")));
        for bad in [
            "{}",
            "[]",
            "null",
            r#"{"error":"x"}"#,
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#,
            &good.replace("PodList", "NodeList"),
            &good.replace("\"v1\"", "\"v2\""),
            &good.replace(r#","items":[]"#, ""),
            &good.replace(r#""resourceVersion":"1""#, ""),
        ] {
            assert!(!check(bad), "{bad}");
        }
    }
}
