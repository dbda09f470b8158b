//! One spelling for ids that scanners have spelt in several ways over the years.

use std::borrow::Cow;

/// Normalises Aqua Security's check ids (Trivy, trivy-operator): `KSV001`, `KSV-0001`,
/// `AVD-KSV-0001` and `avd-ksv-0001` are one check, `KSV-0001`. Ids that do not have the form
/// letters + digits (CVE ids, rule names) come back unchanged.
///
/// `AVD-KSV-01010` stays apart from `KSV-0110`: five digits are another number, and Trivy's own
/// data files confuse the two in one place (id `AVD-KSV-0110`, alias `AVD-KSV-01010`).
#[must_use]
pub fn aqua_id(raw: &str) -> Cow<'_, str> {
    let upper = raw.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("AVD-").unwrap_or(&upper);
    let letters = bare.len() - bare.trim_start_matches(|c: char| c.is_ascii_uppercase()).len();
    let (family, rest) = bare.split_at(letters);
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    let known = matches!(family, "KSV" | "KCV" | "DS");
    if !known || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(raw);
    }
    let normal = format!("{family}-{digits:0>4}");
    if normal == raw { Cow::Borrowed(raw) } else { Cow::Owned(normal) }
}

#[cfg(test)]
mod tests {
    use super::aqua_id;

    #[test]
    fn all_spellings_of_one_check_are_one() {
        for raw in ["KSV001", "KSV-0001", "AVD-KSV-0001", "avd-ksv-0001", "KSV-001"] {
            assert_eq!(aqua_id(raw), "KSV-0001", "{raw}");
        }
        assert_eq!(aqua_id("KCV0035"), "KCV-0035");
        assert_eq!(aqua_id("DS002"), "DS-0002");
    }

    #[test]
    fn what_is_no_such_id_stays() {
        for raw in ["CVE-2023-1234", "KSV-01010", "aws-access-key-id", "", "KSV-", "KSV-12a"] {
            assert_eq!(aqua_id(raw), raw);
        }
    }
}
