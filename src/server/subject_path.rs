//! The subject in a request's path. A path has slashes where a subject has
//! dots, and who mixes them up would reach nobody.

use percent_encoding::percent_decode_str;

use crate::error::Refusal;

/// The subject behind a prefix of the path, percent-decoded. A slash that
/// belongs to a token is written as `%2F`.
///
/// # Errors
/// `bad_subject` where a slash stands as it is.
pub(crate) fn subject(path: &str, prefix: &str) -> Result<String, Refusal> {
    let written = path.strip_prefix(prefix).unwrap_or_default();
    let subject = percent_decode_str(written).decode_utf8_lossy().into_owned();
    if written.contains('/') {
        let tokens: Vec<&str> = written.split('/').filter(|token| !token.is_empty()).collect();
        let meant = format!("{prefix}{}", tokens.join("."));
        return Err(Refusal::bad_subject(
            &subject,
            format_args!("has a slash in the path; join tokens by dots, as {meant:?}, or write %2F for a slash"),
        ));
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_path_has_one_subject_and_no_slash_in_it() {
        for (path, expected) in [("/p/shop.cart.u1", "shop.cart.u1"), ("/p/a%2Fb.c%C3%A9", "a/b.c\u{e9}"), ("/p/", "")]
        {
            assert_eq!(subject(path, "/p/").as_deref(), Ok(expected));
        }
        for (path, meant) in [
            ("/p/shop/cart/u1", "\"/p/shop.cart.u1\""),
            ("/p//shop.cart", "\"/p/shop.cart\""),
            ("/p/shop.cart/", "\"/p/shop.cart\""),
            ("/p/a%2Fb/c", "\"/p/a%2Fb.c\""),
        ] {
            let refusal = subject(path, "/p/").expect_err(path);
            assert!(refusal.code == Code::BadSubject && refusal.message.contains(meant), "{path}: {refusal}");
        }
    }
}
