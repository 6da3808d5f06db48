//! Entity tags (RFC 9110, section 8.8.3), and the conditions that callers make with them.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Bytes of a digest that make a tag: enough that no two states of a thing share one.
const LENGTH: usize = 16;

/// A strong entity tag: tells one state of a thing from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag([u8; LENGTH]);

impl ETag {
    /// The tag of a thing as it is: a digest of everything about it that can be shown, so that
    /// every store gives the same one.
    pub fn of(thing: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_vec(thing).map_err(Error::internal)?;
        let digest: [u8; 32] = Sha256::digest(json).into();
        let (tag, _) = digest.split_first_chunk().ok_or_else(|| Error::internal("no digest"))?;
        Ok(Self(*tag))
    }
}

impl fmt::Display for ETag {
    /// As in the header, in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:032x}\"", u128::from_be_bytes(self.0))
    }
}

/// A list of entity tags that a caller gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagList {
    /// `*`: whatever there is.
    Any,
    /// One of these, as they were written.
    Tags(Vec<String>),
}

/// The text was neither `*` nor a list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be * or a list of entity tags in quotes")]
pub struct NotATagList;

impl TagList {
    /// Reads the text of `If-Match` or `If-None-Match`.
    pub fn parse(text: &str) -> Result<Self, NotATagList> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text;
        loop {
            // RFC 9110, section 5.6.1.2: a reader takes empty elements.
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (tag, after) = first_tag(rest).ok_or(NotATagList)?;
            tags.push(tag.to_owned());
            rest = after.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(NotATagList);
            }
        }
        if tags.is_empty() { Err(NotATagList) } else { Ok(Self::Tags(tags)) }
    }

    /// Whether the tag is in it by strong comparison: a weak one is like none.
    pub fn has(&self, tag: ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&tag.to_string()),
        }
    }

    /// Whether the tag is in it by weak comparison.
    pub fn has_weakly(&self, tag: ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => {
                let tag = tag.to_string();
                tags.iter().any(|listed| listed.strip_prefix("W/").unwrap_or(listed) == tag)
            }
        }
    }
}

/// The tag that a text starts with, and the text after it.
fn first_tag(text: &str) -> Option<(&str, &str)> {
    let quoted = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
    let opaque = quoted.find('"')?;
    let fit = |byte: u8| byte > b' ' && byte != 0x7f;
    let (inside, after) = quoted.split_at_checked(opaque)?;
    let after = after.strip_prefix('"')?;
    let tag = text.get(..text.len() - after.len())?;
    inside.bytes().all(fit).then_some((tag, after))
}

/// What `If-Match` demands: that a change meets a thing as its caller last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Result<TagList, NotATagList>);

impl IfMatch {
    /// Reads the header's text. What cannot be read is kept, and refused once the thing is there.
    pub fn parse(text: &str) -> Self {
        Self(TagList::parse(text))
    }

    /// Refuses a change of a thing in a state that the caller does not mean.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`]; [`Error::Malformed`] if the header cannot be read.
    pub fn check(&self, thing: &impl Serialize) -> Result<()> {
        if self.list()?.has(ETag::of(thing)?) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Refuses a change of something that is not there, whatever state is meant.
    ///
    /// # Errors
    /// As [`IfMatch::check`].
    pub fn check_nothing(&self) -> Result<()> {
        self.list().and(Err(Error::PreconditionFailed))
    }

    fn list(&self) -> Result<&TagList> {
        self.0.as_ref().map_err(|problem| Error::Malformed(format!("If-Match {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_states_apart() {
        let tag = |thing: &str| ETag::of(&thing).unwrap();
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert_eq!(tag("a").to_string().len(), 34);
    }

    #[test]
    fn lists_are_read_as_the_standard_says() {
        let tags = |tags: &[&str]| Ok(TagList::Tags(tags.iter().map(|&it| it.into()).collect()));
        for (text, list) in [
            ("*", Ok(TagList::Any)),
            (" * ", Ok(TagList::Any)),
            (r#""a""#, tags(&[r#""a""#])),
            (r#""a", "b,c" ,W/"d""#, tags(&[r#""a""#, r#""b,c""#, r#"W/"d""#])),
            (r#",, "a",,"#, tags(&[r#""a""#])),
            (r#""""#, tags(&[r#""""#])),
            ("", Err(NotATagList)),
            (",", Err(NotATagList)),
            ("a", Err(NotATagList)),
            (r#""a"#, Err(NotATagList)),
            (r#""a" "b""#, Err(NotATagList)),
            (r#""a""b""#, Err(NotATagList)),
            (r#"w/"a""#, Err(NotATagList)),
            (r#""a b""#, Err(NotATagList)),
            (r#"*, "a""#, Err(NotATagList)),
        ] {
            assert_eq!(TagList::parse(text), list, "{text}");
        }
    }

    #[test]
    fn a_weak_tag_matches_weakly_alone() {
        let tag = ETag::of(&1).unwrap();
        let list = |text: String| TagList::parse(&text).unwrap();
        let (strong, weak) = (list(format!("\"x\", {tag}")), list(format!("W/{tag}")));
        assert!(strong.has(tag) && strong.has_weakly(tag));
        assert!(!weak.has(tag) && weak.has_weakly(tag));
        assert!(TagList::Any.has(tag) && TagList::Any.has_weakly(tag));
        assert!(!list("\"x\"".to_owned()).has_weakly(tag));
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_never_met() {
        assert!(matches!(IfMatch::parse("abc").check(&1), Err(Error::Malformed(_))));
        assert_eq!(IfMatch::parse("\"abc\"").check(&1), Err(Error::PreconditionFailed));
        assert_eq!(IfMatch::parse("*").check(&1), Ok(()));
    }
}
