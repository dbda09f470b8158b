//! As whom a cluster is asked. Nothing here has `Debug`, nor gets into an error.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::AccessError;
use super::exec::{Credential, Plugin};
use super::kubeconfig::{Cluster, User};

/// How long what was read of a token's file is used: a mounted token is renewed long before it expires.
const FRESH: Duration = Duration::from_secs(10);

/// PEM of a certificate and of its key.
pub(super) type Certificate = (Vec<u8>, Vec<u8>);

/// As whom. A certificate and one of the others may come together.
#[derive(Default)]
pub(super) struct Credentials {
    bearer: Bearer,
    /// Of the kubeconfig; a plugin may give another one.
    certificate: Option<Arc<Certificate>>,
}

#[derive(Default)]
enum Bearer {
    #[default]
    None,
    Fixed(HeaderValue),
    File(TokenFile),
    Plugin(Plugin),
}

struct TokenFile {
    path: PathBuf,
    /// What is used while the file cannot be read.
    otherwise: String,
    read: Mutex<Option<(Instant, String)>>,
}

/// What one request is sent with.
#[derive(Clone, Default)]
pub(super) struct Presented {
    pub header: Option<HeaderValue>,
    pub certificate: Option<Arc<Certificate>>,
    /// What a plugin gave, by which it can be told that the server did not take it.
    given: Option<Arc<Credential>>,
}

impl Credentials {
    /// A token that others write into a file.
    pub(super) fn file(path: PathBuf) -> Self {
        let file = TokenFile { path, otherwise: String::new(), read: Mutex::default() };
        Self { bearer: Bearer::File(file), certificate: None }
    }

    /// Those of a kubeconfig. `of_address` are a name and a password in the server's address, which
    /// go before all others; `time` is how long a plugin may take.
    pub(super) fn of_user(
        user: &mut User,
        cluster: &Cluster,
        of_address: Option<(String, String)>,
        time: Duration,
    ) -> Result<Self, AccessError> {
        let certificate = user.certificate.take().map(Arc::new);
        if let Some(provider) = &user.auth_provider {
            let reason = match &*provider.name {
                "oidc" => "is used by `auth-provider: oidc`, which is not supported: let a plugin such as kubelogin sign in by `exec`".to_owned(),
                name => format!("has the auth-provider `{}`, which kubectl has not known since 1.26: use `exec`", name.escape_debug()),
            };
            return Err(AccessError::Kubeconfig(format!("the user {reason}")));
        }
        let basic = of_address.or_else(|| {
            let name = std::mem::take(&mut user.username);
            (!name.is_empty()).then(|| (name, std::mem::take(&mut user.password)))
        });
        let bearer = if let Some((name, password)) = basic {
            Bearer::Fixed(header(&self::basic(&name, &password))?)
        } else if let Some(path) = user.token_path.take() {
            let otherwise = std::mem::take(&mut user.token);
            Bearer::File(TokenFile { path, otherwise, read: Mutex::default() })
        } else if !user.token.is_empty() {
            Bearer::Fixed(header(&format!("Bearer {}", user.token))?)
        } else if let Some(exec) = user.exec.take() {
            Bearer::Plugin(Plugin::new(exec, cluster, time))
        } else {
            Bearer::None
        };
        if matches!(bearer, Bearer::None) && certificate.is_none() {
            return Err(AccessError::Kubeconfig("the user has no credentials".to_owned()));
        }
        Ok(Self { bearer, certificate })
    }

    /// What to say to people where the plugin is not installed.
    pub(super) fn install_hint(&self) -> &str {
        match &self.bearer {
            Bearer::Plugin(plugin) => plugin.install_hint(),
            _ => "",
        }
    }

    /// What to send now. `refused` is what the server answered with 401 to; `None` comes back where nothing
    /// else can be sent.
    pub(super) async fn present(
        &self,
        refused: Option<&Presented>,
    ) -> Result<Option<Presented>, AccessError> {
        let certificate = self.certificate.clone();
        let of = |header| Presented { header, certificate: certificate.clone(), given: None };
        let presented = match &self.bearer {
            Bearer::None | Bearer::Fixed(_) if refused.is_some() => return Ok(None),
            Bearer::None => of(None),
            Bearer::Fixed(value) => of(Some(value.clone())),
            Bearer::File(file) => {
                let header = header(&format!("Bearer {}", file.token(refused.is_some())?))?;
                if refused.is_some_and(|refused| refused.header.as_ref() == Some(&header)) {
                    return Ok(None);
                }
                of(Some(header))
            }
            Bearer::Plugin(plugin) => {
                let refused = refused.and_then(|refused| refused.given.as_ref());
                let given = plugin.credential(refused).await?;
                let token = (!given.token.is_empty()).then(|| format!("Bearer {}", given.token));
                Presented {
                    header: token.map(|token| header(&token)).transpose()?,
                    certificate: given.certificate.clone().map(Arc::new).or(certificate),
                    given: Some(given),
                }
            }
        };
        Ok(Some(presented))
    }
}

impl TokenFile {
    fn token(&self, anew: bool) -> Result<String, AccessError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, token)) = &*read
            && !anew
            && at.elapsed() < FRESH
        {
            return Ok(token.clone());
        }
        let token = match std::fs::read_to_string(&self.path) {
            Ok(token) if !token.trim().is_empty() => token.trim().to_owned(),
            Ok(_) | Err(_) if read.is_some() || !self.otherwise.is_empty() => {
                // While it is written anew, the last one holds.
                read.as_ref().map_or_else(|| self.otherwise.clone(), |(_, token)| token.clone())
            }
            Ok(_) => {
                return Err(AccessError::Kubeconfig(format!("{} is empty", self.path.display())));
            }
            Err(error) => {
                return Err(AccessError::File { path: self.path.clone(), reason: error.kind() });
            }
        };
        *read = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

/// A name and a password as a header has them (RFC 7617).
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A header that no log shows.
fn header(value: &str) -> Result<HeaderValue, AccessError> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        AccessError::Kubeconfig("the token holds characters that no header may".to_owned())
    })?;
    header.set_sensitive(true);
    Ok(header)
}
