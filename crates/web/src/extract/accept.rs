//! Content negotiation (RFC 9110, section 12.5.1), for an API that speaks JSON only.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether the caller takes `application/json`. Of the ranges that cover it the most specific one
/// decides. A caller that does not say takes anything.
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut said = false;
    let mut best: Option<(u8, bool)> = None;
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else {
            said = true;
            continue;
        };
        for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            said = true;
            let covers = read(range);
            if covers.is_some_and(|(rank, _)| best.is_none_or(|(best, _)| rank > best)) {
                best = covers;
            }
        }
    }
    best.map_or(!said, |(_, wanted)| wanted)
}

/// How specific a range is that covers `application/json`, and whether its weight is above zero.
fn read(range: &str) -> Option<(u8, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?;
    let rank = if kind.eq_ignore_ascii_case("application/json") {
        3
    } else if kind.eq_ignore_ascii_case("application/*") {
        2
    } else if kind == "*/*" {
        1
    } else {
        return None;
    };
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let wanted = match weight {
        None => true,
        Some(weight) => weight.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))? > 0.0,
    };
    Some((rank, wanted))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepts(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        accepts_json(&headers)
    }

    #[test]
    fn a_range_must_cover_json() {
        assert!(accepts(&[]));
        assert!(accepts(&[""]));
        assert!(accepts(&["*/*"]));
        assert!(accepts(&["Application/*"]));
        assert!(accepts(&["application/JSON; charset=utf-8"]));
        assert!(accepts(&["text/html, application/xhtml+xml, */*;q=0.8"]));
        assert!(accepts(&["text/html", "application/json"]));
        assert!(!accepts(&["text/html"]));
        assert!(!accepts(&["application/xml, text/*"]));
        assert!(!accepts(&["application/jsonl"]));
    }

    #[test]
    fn the_most_specific_range_decides() {
        assert!(!accepts(&["application/json;q=0"]));
        assert!(!accepts(&["application/json; q=0.000, */*"]));
        assert!(accepts(&["*/*;q=0, application/json;q=0.1"]));
        assert!(!accepts(&["*/*;q=0"]));
        assert!(!accepts(&["application/json;q=high"]));
        assert!(!accepts(&["application/json;q=2"]));
    }
}
