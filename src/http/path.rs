//! The path of a request → the recipient.

use super::percent;
use super::problem::Problem;

/// The recipient in a path, as written: the part after `base`, as in `/msg/RECIPIENT`. `path` is raw, as in the request
/// line.
///
/// # Errors
/// 422 if the recipient is not UTF-8.
pub fn recipient(path: &[u8], base: &str) -> Result<Option<String>, Problem> {
    let decoded = String::from_utf8(percent::decode_lenient(path))
        .map_err(|_| Problem::meaning("the recipient in the path is not UTF-8").field("to"))?;
    // Prosody reads several slashes as one when it looks for the base.
    let recipient = match decoded.strip_prefix(base) {
        Some(recipient) => recipient.to_owned(),
        None => {
            let single: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
            let single = format!("/{}", single.join("/"));
            single.strip_prefix(base).unwrap_or_default().to_owned()
        }
    };
    let recipient = recipient.trim_start_matches('/');
    Ok((!recipient.is_empty()).then(|| recipient.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_in_the_path_is_decoded() {
        let to =
            |path: &str, base| recipient(path.as_bytes(), base).map_err(|problem| problem.status());
        let recipient = |to: &str| Ok(Some(to.to_owned()));
        assert_eq!(to("/msg", "/msg"), Ok(None));
        assert_eq!(to("/msg/", "/msg"), Ok(None));
        assert_eq!(
            to("/msg/user@example.com/a%20b%2Fc+d", "/msg"),
            recipient("user@example.com/a b/c+d")
        );
        assert_eq!(to("/msg/100%2525", "/msg"), recipient("100%25"));
        assert_eq!(to("//msg//user", "/msg"), recipient("user"));
        assert_eq!(to("/a/b/user", "/a/b"), recipient("user"));
        assert_eq!(to("/user", ""), recipient("user"));
        assert_eq!(to("/msg/%zz", "/msg"), recipient("%zz"));
        assert_eq!(to("/msg/a%2", "/msg"), recipient("a%2"));
        assert_eq!(to("/msg/%FF", "/msg"), Err(422));
    }
}
