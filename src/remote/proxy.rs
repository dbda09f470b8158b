//! Proxies that the environment names, as AWS tools and curl take them. S3, KMS and the services that give
//! credentials for them are reached through them; other connections go past them, and say so.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// The variable that names a proxy for this URL. None does for what `NO_PROXY` names, nor for this machine and
/// its link.
pub(crate) fn variable(url: &str) -> Option<&'static str> {
    let uri: Uri = url.parse().ok().filter(|_| !is_near(url) && !is_everything_exempt())?;
    Matcher::from_env().intercept(&uri)?;
    let specific = match uri.scheme_str()? {
        "https" => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let names = specific.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    // What is no address of a proxy is passed over.
    names.into_iter().find(|name| {
        let value = std::env::var(name).unwrap_or_default();
        Matcher::builder().all(value).build().intercept(&uri).is_some()
    })
}

/// Does `NO_PROXY` name every host? The matcher takes `*` for every host name, but not for addresses.
pub(crate) fn is_everything_exempt() -> bool {
    let list = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
    list.is_ok_and(|list| list.split(',').any(|entry| entry.trim() == "*"))
}

/// Is it an address of this machine or of its link? Credentials of instances and containers come from there.
pub(crate) fn is_near(url: &str) -> bool {
    let url = Url::parse(url);
    match url.as_ref().ok().and_then(Url::host_str) {
        None => false,
        Some("localhost") => true,
        Some(host) => match host.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
            // fd00:ec2::/32 is where instances and pods find their metadata.
            Ok(IpAddr::V6(address)) => {
                let [first, second, ..] = address.segments();
                address.is_loopback() || (first, second) == (0xfd00, 0xec2)
            }
            Err(_) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_asked_without_a_proxy() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest/",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://localhost:9000/b",
            "http://127.0.0.1:9000/b",
            "http://[::1]:9000/b",
        ] {
            assert!(is_near(url), "{url}");
        }
        for url in
            ["https://s3.eu-central-1.amazonaws.com/b", "http://10.0.0.1/b", "http://[fd00::1]/"]
        {
            assert!(!is_near(url), "{url}");
        }
    }
}
