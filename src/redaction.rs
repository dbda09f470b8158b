//! Secrets in what others wrote, by their form: taken out before anything is judged or sealed, since what is
//! sealed may be locked for years.
//!
//! To add a form: one entry in `FORMS` and one line in its test. A form matches nothing that contains a quote or
//! a backslash followed by one, so that JSON and YAML stay what they are and every JSON pointer stays right.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use regex::bytes::{Captures, Regex};

use crate::run::REDACTED;

/// What a kind of secret looks like.
struct Form {
    /// Pieces of text of which one is in each of them: without, the pattern is not tried.
    marks: &'static [&'static str],
    /// What matches; the groups `before` and `after` stay.
    pattern: &'static str,
    /// Is what matches really one?
    is_secret: fn(&[u8]) -> bool,
}

const fn form(marks: &'static [&'static str], pattern: &'static str) -> Form {
    Form { marks, pattern, is_secret: |_| true }
}

const FORMS: &[Form] = &[
    // Private keys in PEM, on lines of their own or with `\n` in a JSON string.
    form(
        &["PRIVATE KEY-----"],
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[^"'<>]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----"#,
    ),
    // The same in base64, as kubeconfigs hold them: certificates look alike, and are no secrets.
    Form {
        marks: &["LS0tLS1CRUdJTi"],
        pattern: r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{40,}={0,2}",
        is_secret: |text| {
            let whole = text.get(..text.len() / 4 * 4).unwrap_or_default();
            STANDARD.decode(whole).is_ok_and(|pem| memmem::find(&pem, b"PRIVATE KEY").is_some())
        },
    },
    // JSON Web Tokens: service accounts, OpenID Connect.
    form(&["eyJ"], r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    // Authorization headers.
    form(&["earer ", "EARER "], r"(?i)(?P<before>\bbearer +)[A-Za-z0-9._~+/-]{16,}=*"),
    form(&["asic ", "ASIC "], r"(?i)(?P<before>authorization\W{1,6}basic +)[A-Za-z0-9+/]{6,}=*"),
    // AWS: ids of keys, and what stands beside the name of a secret key.
    form(&["AKIA", "ASIA"], r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    form(
        &["ecret", "ECRET"],
        r#"(?i)(?P<before>\baws_?(?:secret_?access_?key|session_?token)\b["']?\s*[:=]\s*["']?)[A-Za-z0-9/+=]{20,}"#,
    ),
    // Azure: keys of storage accounts, secrets of applications.
    form(
        &["AccountKey=", "SharedAccessKey="],
        r"(?P<before>\b(?:Account|SharedAccess)Key=)[A-Za-z0-9+/]{20,}={0,2}",
    ),
    form(&["8Q~"], r"\b[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}"),
    // Google Cloud: API keys, access tokens.
    form(&["AIza"], r"\bAIza[0-9A-Za-z_-]{35}"),
    form(&["ya29."], r"\bya29\.[0-9A-Za-z_-]{20,}"),
    // GitHub, GitLab, Slack.
    form(
        &["ghp_", "gho_", "ghs_", "github_pat_"],
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    form(&["glpat-"], r"\bglpat-[A-Za-z0-9_-]{20,}"),
    form(&["xox"], r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    // Names with a value, on command lines and in connection strings. A flag of one's own (`--token-auth-file=`)
    // is another name.
    Form {
        marks: &[
            "assword=", "ASSWORD=", "asswd=", "oken=", "OKEN=", "ecret=", "ECRET=", "ey=", "EY=",
            "wd=",
        ],
        pattern: r#"(?i)(?P<before>\b(?:[a-z0-9_]*password|[a-z0-9_]*passwd|pwd|(?:[a-z0-9]+[_-])*(?:token|api[_-]?key|client[_-]secret|secret[_-]?key|access[_-]key))=)[^\s"'\\&,;<>|)}\]]{4,}"#,
        is_secret: is_value,
    },
    // Names and passwords in addresses.
    form(
        &["://"],
        r#"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"'\\<>]{0,64}:)[^\s/@"'\\<>]{1,256}(?P<after>@)"#,
    ),
    // The user of a kubeconfig.
    form(
        &["client-key-data", "refresh-token", "id-token", "client-secret"],
        r#"(?P<before>\b(?:client-key-data|refresh-token|id-token|client-secret)\\?["']?\s*:\s*\\?["']?)[A-Za-z0-9+/=._~-]{8,}"#,
    ),
    Form {
        marks: &["token", "password"],
        pattern: r#"(?P<before>(?:^|[\s{,"'])(?:token|password)\\?["']?\s*:\s*\\?["']?)[A-Za-z0-9+/=._~!$%^*#-]{16,}"#,
        is_secret: is_value,
    },
];

/// Words that stand where a secret could, and are none.
fn is_value(matched: &[u8]) -> bool {
    let value = matched.rsplit(|byte| matches!(byte, b'=' | b':')).next().unwrap_or_default();
    let value = value.trim_ascii();
    let is_word = [&b"true"[..], b"false", b"null", b"none", b"<none>"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    !is_word
        && !value.starts_with(b"/")
        && !value.starts_with(b"$(")
        && !value.starts_with(b"(redacted")
}

static PATTERNS: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| FORMS.iter().map(|form| Regex::new(form.pattern).ok()).collect());

/// The same text without its secrets: [`REDACTED`] is where each was. Borrowed where there is none.
#[must_use]
pub fn redacted(text: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(text);
    for (form, pattern) in FORMS.iter().zip(PATTERNS.iter()) {
        let is_likely =
            form.marks.iter().any(|mark| memmem::find(&text, mark.as_bytes()).is_some());
        let Some(pattern) = pattern.as_ref().filter(|_| is_likely) else { continue };
        let replace = |found: &Captures<'_>| -> Vec<u8> {
            let group = |name| found.name(name).map_or(&b""[..], |group| group.as_bytes());
            let all = found.get(0).map_or(&b""[..], |all| all.as_bytes());
            let secret = all.strip_prefix(group("before")).unwrap_or(all);
            if (form.is_secret)(secret) {
                [group("before"), REDACTED.as_bytes(), group("after")].concat()
            } else {
                all.to_vec()
            }
        };
        if let Cow::Owned(new) = pattern.replace_all(&text, replace) {
            text = Cow::Owned(new);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(redacted(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn every_pattern_is_one() {
        assert!(PATTERNS.iter().all(Option::is_some));
    }

    #[test]
    fn secrets_are_taken_out_and_what_is_around_them_stays() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJlLW9mLWl0";
        let key = "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIB\\n-----END EC PRIVATE KEY-----\\n";
        let encoded = STANDARD.encode(key.replace("\\n", "\n"));
        let aws = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let google = format!("AIza{}", "Sy0123456789abcdefghijklmnopqrstuvw_-".get(..35).unwrap());
        let azure = format!("abc8Q~{}", "x".repeat(34));
        let github = format!("ghp_{}", "a1".repeat(18));
        for (text, kept) in [
            (format!("a {jwt} b"), "a {} b"),
            (format!("{{\"k\":\"{key}\",\"l\":1}}"), "{\"k\":\"{}\\n\",\"l\":1}"),
            (format!("client-key-data: {encoded}\nb: c"), "client-key-data: {}\nb: c"),
            (format!("x: {encoded}\nb: c"), "x: {}\nb: c"),
            (format!("Authorization: Bearer {}", "t0".repeat(12)), "Authorization: Bearer {}"),
            (
                "\"Authorization\": \"Basic dXNlcjpwYXNz\"".to_owned(),
                "\"Authorization\": \"Basic {}\"",
            ),
            ("id AKIAIOSFODNN7EXAMPLE.".to_owned(), "id {}."),
            (format!("AWS_SECRET_ACCESS_KEY={aws} x"), "AWS_SECRET_ACCESS_KEY={} x"),
            (format!("\"aws_secret_access_key\": \"{aws}\""), "\"aws_secret_access_key\": \"{}\""),
            (format!("AccountName=a;AccountKey={aws}==;x"), "AccountName=a;AccountKey={};x"),
            (format!("secret {azure} x"), "secret {} x"),
            (format!("key={google}&a=b"), "key={}&a=b"),
            (format!("{github},"), "{},"),
            ("run --password=hunter22 --user=a".to_owned(), "run --password={} --user=a"),
            ("DB_PASSWORD=hunter22;".to_owned(), "DB_PASSWORD={};"),
            ("--token=abcdef.0123456789abcdef x".to_owned(), "--token={} x"),
            ("postgres://app:hunter22@db:5432/x".to_owned(), "postgres://app:{}@db:5432/x"),
            (
                "users:\n- user:\n    token: 0123456789abcdef0123\n".to_owned(),
                "users:\n- user:\n    token: {}\n",
            ),
            (
                "{\\\"token\\\": \\\"0123456789abcdef0123\\\"}".to_owned(),
                "{\\\"token\\\": \\\"{}\\\"}",
            ),
        ] {
            assert_eq!(shown(&text), kept.replace("{}", REDACTED), "{text}");
            // Once is enough.
            let once = shown(&text);
            assert_eq!(shown(&once), once);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "--token-auth-file=/etc/tokens --service-account-key-file=/etc/sa.pub",
            "automountServiceAccountToken=false",
            "--authorization-mode=Node,RBAC --anonymous-auth=false",
            "password=false token=null",
            "'--token-auth-file' is not present",
            "image: registry.example.com:5000/app@sha256:0123456789abcdef",
            "https://example.com:8443/a@b",
            "serviceaccount token: mounted",
            "tokens: 0123456789abcdef0123",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "Containers must not set secretKeyRef",
        ] {
            assert_eq!(shown(text), text);
        }
        let certificate =
            STANDARD.encode("-----BEGIN CERTIFICATE-----\nMIIB0123456789abcdef0123456789\n");
        assert_eq!(shown(&certificate), certificate);
    }
}
