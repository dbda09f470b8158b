//! Audit events of the API server (`audit.k8s.io/v1`): the lines of its log, or the `EventList` that
//! its webhook sends.
//!
//! A log shows what is recorded, so a check passes by what stands in it and says nothing when that is
//! absent: a policy may leave it out, or it did not happen. Two kinds of event are failures wherever
//! they stand: what anonymous requests were granted, and values of Secrets in the log. Names, addresses
//! and bodies of events stay in the input.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::events::{self, Stream};
use super::text::Text;
use super::{Document, Probe, ReadError, Scanner};
use crate::finding::{CheckId, Finding, Outcome, Parsed, ResourceRef, Severity};

pub(super) struct AuditLog;

const PREFIX: &str = "audit-log";
const GROUP: &str = "audit.k8s.io";
/// Verbs that change something.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
/// Paths that answer anybody by default: health, version and discovery of identities
/// (`system:public-info-viewer`, `system:service-account-issuer-discovery`).
const PUBLIC: [&str; 6] =
    ["/healthz", "/livez", "/readyz", "/version", "/.well-known/", "/openid/"];

impl Scanner for AuditLog {
    fn id(&self) -> &'static str {
        PREFIX
    }

    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn recognizes(&self, probe: &Probe) -> bool {
        probe.has_object(GROUP, |kind| kind == "Event")
    }

    fn top_keys(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "level",
            "auditID",
            "stage",
            "requestURI",
            "verb",
            "user",
            "impersonatedUser",
            "authenticationMetadata",
            "sourceIPs",
            "userAgent",
            "objectRef",
            "responseStatus",
            "requestObject",
            "responseObject",
            "requestReceivedTimestamp",
            "stageTimestamp",
            "annotations",
        ])
    }

    fn parse(&self, document: &Document<'_>, parsed: &mut Parsed) -> Result<(), ReadError> {
        parsed.saw_tool("kube-apiserver", "");
        let mut log = Log::default();
        let each = |index, event: Event<'_>| {
            let at = |field, text| events::time(document, index, field, text);
            let at = at("/stageTimestamp", &event.stage_timestamp)
                .or_else(|| at("/requestReceivedTimestamp", &event.request_received_timestamp));
            log.add(index, &event, at);
        };
        let others = events::read(document, each, |_| false)?;
        others.tell(events::locator(document, 0), parsed);
        log.conclude(document, parsed);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow, default)]
    stage: Text<'a>,
    #[serde(default, rename = "requestURI")]
    request_uri: Text<'a>,
    #[serde(default)]
    verb: Text<'a>,
    #[serde(default)]
    user: User<'a>,
    #[serde(default, rename = "sourceIPs")]
    source_ips: Option<Vec<Text<'a>>>,
    #[serde(default)]
    object_ref: Option<ObjectRef<'a>>,
    #[serde(default)]
    response_status: Option<ResponseStatus>,
    request_object: Option<IgnoredAny>,
    response_object: Option<IgnoredAny>,
    #[serde(default)]
    request_received_timestamp: Text<'a>,
    #[serde(default)]
    stage_timestamp: Text<'a>,
    #[serde(default)]
    annotations: Option<BTreeMap<Text<'a>, Text<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    username: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef<'a> {
    #[serde(borrow)]
    resource: Text<'a>,
    api_group: Text<'a>,
    subresource: Text<'a>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

/// How often something was seen, and where first.
#[derive(Clone, Copy, Default)]
struct Seen {
    count: usize,
    first: usize,
}

impl Seen {
    fn at(&mut self, index: usize) {
        if self.count == 0 {
            self.first = index;
        }
        self.count += 1;
    }
}

#[derive(Default)]
struct Log {
    events: usize,
    stream: Stream,
    answered: Seen,
    incomplete: Seen,
    by_people: Seen,
    privileges: Seen,
    refused: Seen,
    objects: Seen,
    anonymous: Seen,
    secrets: Seen,
    truncated: Seen,
    without_stage: Seen,
}

impl Log {
    fn add(&mut self, index: usize, event: &Event<'_>, at: Option<Timestamp>) {
        self.events += 1;
        if let Some(at) = at {
            self.stream.saw(at);
        }
        if event.is_truncated() {
            self.truncated.at(index);
        }
        if event.shows_secret() {
            self.secrets.at(index);
        }
        if !matches!(
            &*event.stage,
            "RequestReceived" | "ResponseStarted" | "ResponseComplete" | "Panic"
        ) {
            self.without_stage.at(index);
        }
        if !matches!(&*event.stage, "ResponseComplete" | "Panic") {
            return;
        }
        self.answered.at(index);
        let code = event.response_status.as_ref().and_then(|status| status.code);
        if !event.is_complete(code) || at.is_none() {
            self.incomplete.at(index);
        }
        if matches!(code, Some(401 | 403)) {
            self.refused.at(index);
        }
        let granted = code.is_some_and(|code| code < 400);
        if granted && &*event.user.username == "system:anonymous" && !event.is_public() {
            self.anonymous.at(index);
        }
        if !WRITES.contains(&&*event.verb) || event.object_ref.is_none() {
            return;
        }
        if !event.user.username.starts_with("system:") && !event.user.username.is_empty() {
            self.by_people.at(index);
        }
        if event.is_about_privileges() {
            self.privileges.at(index);
        }
        // Applying on the server's side creates by `patch`, and the answer is 201.
        if matches!(&*event.verb, "create" | "delete" | "deletecollection") || code == Some(201) {
            self.objects.at(index);
        }
    }

    fn conclude(self, document: &Document<'_>, parsed: &mut Parsed) {
        let at = |seen: Seen| events::locator(document, seen.first);
        if self.truncated.count > 0 {
            let text = format!("{} events are cut (audit.k8s.io/truncated)", self.truncated.count);
            parsed.shortfall(at(self.truncated), text);
        }
        if self.without_stage.count > 0 {
            let text = format!(
                "{} events state no `stage` that is known: whether they were answered is open",
                self.without_stage.count
            );
            parsed.shortfall(at(self.without_stage), text);
        }
        if self.events == 0 {
            return;
        }
        // A log is as fresh as its end.
        if let Some(end) = self.stream.end() {
            parsed.saw_time(end);
        }
        let cluster = Arc::new(ResourceRef::cluster_scoped("Cluster", ""));
        let mut push = |check: &str, outcome, seen: Seen, message: String| {
            let id = CheckId::new(PREFIX, check);
            let mut finding = Finding::new(id, Arc::clone(&cluster), outcome, at(seen));
            finding.message = message.into();
            if outcome == Outcome::Fail {
                finding.severity = Severity::High;
            }
            parsed.findings.push(finding);
        };
        let span = self.stream.describe();
        push("events", Outcome::Pass, Seen::default(), format!("{} events {span}", self.events));
        if self.incomplete.count > 0 {
            let text = format!(
                "{} of {} answered requests lack user, verb, time, result, origin or object",
                self.incomplete.count, self.answered.count
            );
            push("complete-events", Outcome::Fail, self.incomplete, text);
        } else if self.answered.count > 0 {
            let text = format!(
                "all {} answered requests state user, verb, time, result, origin and object",
                self.answered.count
            );
            push("complete-events", Outcome::Pass, self.answered, text);
        }
        for (check, seen, what) in [
            ("administrative-actions", self.by_people, "changes by users that are no components"),
            (
                "privilege-changes",
                self.privileges,
                "changes of roles, bindings, accounts or tokens",
            ),
            ("refused-requests", self.refused, "requests that were refused (401, 403)"),
            ("object-changes", self.objects, "creations and deletions of objects"),
        ] {
            if seen.count > 0 {
                push(check, Outcome::Pass, seen, format!("recorded: {} {what}", seen.count));
            }
        }
        for (check, seen, what) in [
            (
                "anonymous-access",
                self.anonymous,
                "anonymous requests were granted what is not public",
            ),
            (
                "secret-values",
                self.secrets,
                "events carry the body of a Secret: the log holds its values",
            ),
        ] {
            if seen.count > 0 {
                push(check, Outcome::Fail, seen, format!("{} {what}", seen.count));
            }
        }
    }
}

impl Event<'_> {
    /// Whom, what, when, with what result, from where, on what. Who failed to authenticate has no
    /// name.
    fn is_complete(&self, code: Option<u16>) -> bool {
        let has_user = !self.user.username.is_empty() || code == Some(401);
        let has_origin = self.source_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        has_user
            && has_origin
            && code.is_some()
            && !self.verb.is_empty()
            && !self.request_uri.is_empty()
    }

    fn is_public(&self) -> bool {
        let path = self.request_uri.split('?').next().unwrap_or_default();
        PUBLIC.iter().any(|public| path.starts_with(public))
    }

    fn is_about_privileges(&self) -> bool {
        self.object_ref.as_ref().is_some_and(|object| {
            &*object.api_group == "rbac.authorization.k8s.io"
                || matches!(
                    &*object.resource,
                    "serviceaccounts" | "certificatesigningrequests" | "secrets"
                )
        })
    }

    /// Bodies are logged at the levels Request and `RequestResponse`. A token request's answer is
    /// a secret too.
    fn shows_secret(&self) -> bool {
        let has_body = self.request_object.is_some() || self.response_object.is_some();
        has_body
            && self.object_ref.as_ref().is_some_and(|object| {
                &*object.resource == "secrets"
                    || (&*object.resource == "serviceaccounts" && &*object.subresource == "token")
                        && self.response_object.is_some()
            })
    }

    fn is_truncated(&self) -> bool {
        self.annotations.as_ref().is_some_and(|annotations| {
            annotations
                .iter()
                .any(|(key, value)| &**key == "audit.k8s.io/truncated" && &**value == "true")
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::Parsed;
    use crate::scanner::read;

    fn event(fields: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods","user":{{"username":"ann","groups":["dev"]}},"sourceIPs":["10.0.0.1"],"requestReceivedTimestamp":"2026-01-02T03:00:00.000001Z","stageTimestamp":"2026-01-02T03:00:00.000002Z",{fields}}}"#
        )
    }

    fn parsed(text: &str) -> Parsed {
        let reading = read(text.as_bytes(), "").unwrap();
        assert_eq!(reading.formats, ["audit-log"]);
        reading.parsed
    }

    fn said(text: &str) -> Vec<String> {
        let parsed = parsed(text);
        let line = |f: &crate::finding::Finding| {
            format!("{} {} {} @{}", f.check.local(), f.outcome, f.message, f.locator)
        };
        parsed.findings.iter().map(line).collect()
    }

    #[test]
    fn what_is_recorded_passes_and_what_is_absent_is_not_mentioned() {
        let create = event(
            r#""verb":"create","objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io"},"responseStatus":{"code":201}"#,
        );
        let refused =
            event(r#""verb":"list","objectRef":{"resource":"pods"},"responseStatus":{"code":403}"#);
        assert_eq!(
            said(&format!("{create}\n{refused}\n")),
            [
                "events pass 2 events at 2026-01-02T03:00:00Z @0#",
                "complete-events pass all 2 answered requests state user, verb, time, result, origin and object @0#",
                "administrative-actions pass recorded: 1 changes by users that are no components @0#",
                "privilege-changes pass recorded: 1 changes of roles, bindings, accounts or tokens @0#",
                "refused-requests pass recorded: 1 requests that were refused (401, 403) @1#",
                "object-changes pass recorded: 1 creations and deletions of objects @0#",
            ]
        );
    }

    #[test]
    fn events_that_lack_a_field_fail() {
        let text = event(r#""verb":"get","responseStatus":{}"#);
        let said = said(&text);
        assert!(said[1].starts_with("complete-events fail 1 of 1"), "{said:?}");
        let unnamed = event(r#""verb":"get","responseStatus":{"code":401}"#)
            .replace(r#""username":"ann""#, r#""username":"""#);
        assert!(self::said(&unnamed)[1].starts_with("complete-events pass"));
    }

    #[test]
    fn anonymous_access_and_secret_bodies_fail() {
        let anonymous =
            event(r#""verb":"list","objectRef":{"resource":"pods"},"responseStatus":{"code":200}"#)
                .replace("\"ann\"", "\"system:anonymous\"");
        let health = anonymous.replace("/api/v1/namespaces/shop/pods", "/livez?verbose");
        let body = event(
            r#""verb":"get","objectRef":{"resource":"secrets"},"responseStatus":{"code":200},"responseObject":{"data":{"a":"aHVudGVyMg=="}}"#,
        );
        let said = said(&format!("{health}\n{anonymous}\n{body}\n"));
        assert!(
            said.iter().any(|s| s.starts_with("anonymous-access fail 1 ") && s.ends_with("@1#")),
            "{said:?}"
        );
        assert!(
            said.iter().any(|s| s.starts_with("secret-values fail 1 ") && s.ends_with("@2#")),
            "{said:?}"
        );
        assert!(!said.iter().any(|s| s.contains("aHVu")));
    }

    #[test]
    fn lists_of_the_webhook_are_read_and_cut_events_weaken() {
        let cut = event(
            r#""verb":"get","responseStatus":{"code":200},"annotations":{"audit.k8s.io/truncated":"true"}"#,
        );
        let text = format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{cut}]}}"#
        );
        let parsed = parsed(&text);
        assert!(parsed.notes[0].weakens && &*parsed.notes[0].locator == "/items/0");
        assert_eq!(parsed.taken_at.unwrap().to_string(), "2026-01-02T03:00:00.000002Z");
        assert_eq!(&*parsed.findings[0].locator, "/items/0");
    }
}
