//! The URIs that name signers (RFC 3986, RFC 7512), and as much of them as may be shown.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// Scheme and rest. Something without a scheme is a path.
pub(super) fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (letter && scheme.chars().all(plain)).then_some((scheme, rest))
}

/// A URI without its query and without what stands before a host: what people put there by mistake
/// must not end in a log.
pub(super) fn shown(uri: &str) -> String {
    let plain = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((before, after)) = plain.split_once("//") else { return plain.to_owned() };
    let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{before}//{host}{path}")
}

/// Attributes of a URI, by name, percent-decoded.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<String, Vec<u8>>);

impl Attributes {
    /// Reads `name=value` pairs with `separator` between them. Each name is one of `known` and
    /// stands once. The error repeats no value.
    pub(super) fn parse(text: &str, separator: char, known: &[&str]) -> Result<Self, String> {
        let mut found = BTreeMap::new();
        for pair in text.split(separator).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err("a part of it is no name=value".to_owned());
            };
            if !known.contains(&name) {
                return Err(format!("one of {} is expected", known.join(", ")));
            }
            let value = percent_decode_str(value).collect();
            if found.insert(name.to_owned(), value).is_some() {
                return Err(format!("`{name}` stands twice"));
            }
        }
        Ok(Self(found))
    }

    /// A value as bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// A value as text; `None` also when it is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_no_scheme() {
        for path in ["keys/log.pem", "./a:b", "/a:b", "keys/a:b", "1:2"] {
            assert_eq!(scheme(path), None, "{path}");
        }
        assert_eq!(scheme("pkcs11:token=a"), Some(("pkcs11", "token=a")));
        assert_eq!(scheme("awskms:///x"), Some(("awskms", "///x")));
    }

    #[test]
    fn secrets_put_in_the_wrong_place_are_not_shown() {
        for (uri, expected) in [
            ("pkcs11:token=a;object=b?pin-value=1234", "pkcs11:token=a;object=b"),
            ("vault:https://me:pw@h:1/t/keys/k?token=s", "vault:https://h:1/t/keys/k"),
            ("vault:https://me:p@w@h", "vault:https://h"),
            ("awskms:///alias/a?secret=s#s", "awskms:///alias/a"),
        ] {
            assert_eq!(shown(uri), expected);
        }
    }

    #[test]
    fn attributes_are_decoded_and_known() {
        let found = Attributes::parse("token=a%20b+c;id=%01%ff", ';', &["token", "id"]).unwrap();
        assert_eq!(found.text("token"), Some("a b+c"));
        assert_eq!(found.bytes("id"), Some(&[1, 255][..]));
        assert_eq!(found.text("id"), None);
        for bad in ["tokens=s3cret", "s3cret", "id=s3cret;id=x"] {
            let error = Attributes::parse(bad, ';', &["token", "id"]).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
