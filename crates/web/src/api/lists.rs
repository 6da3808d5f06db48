//! Pages of lists.

use serde::Serialize;
use tenantry_domain::page::{Cursor, Page, PageRequest, PageStart};
use tenantry_domain::sort::Listed;
use utoipa::{IntoParams, ToSchema};

/// One page of a list. Lists run in the order in which their items were made unless `sort` says
/// otherwise; the audit log runs backwards.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageBody<T> {
    /// The items.
    items: Vec<T>,
    /// How many there are on all pages together.
    total: u64,
    /// How many a page may have.
    #[schema(minimum = 1, maximum = 500)]
    limit: u32,
    /// How many were skipped; null where a cursor said where to begin.
    #[schema(required = true)]
    offset: Option<u64>,
    /// Where the next page begins; null on the last one, and where the list takes no cursor.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl<T> PageBody<T> {
    /// The page that was asked for.
    pub(crate) fn new<U: Listed>(page: &Page<U>, request: &PageRequest<U>, items: Vec<T>) -> Self {
        let offset = match request.from {
            PageStart::Offset { offset, .. } => Some(offset),
            PageStart::After(_) => None,
        };
        let next_cursor = page.next.as_ref().map(Cursor::to_text);
        Self { items, total: page.total, limit: request.limit, offset, next_cursor }
    }

    /// A page of a list that takes no cursor.
    pub(crate) fn without_cursor(items: Vec<T>, total: u64, limit: u32, offset: u64) -> Self {
        Self { items, total, limit, offset: Some(offset), next_cursor: None }
    }
}

/// How many items, and from where on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `Query` reads it")]
pub(crate) struct OffsetParams {
    /// The most items to answer.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// How many items to skip. The cost grows with it.
    #[param(minimum = 0, maximum = 9_007_199_254_740_992_u64, default = 0)]
    offset: Option<u64>,
}

/// Where a list that takes one goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `Query` reads it")]
pub(crate) struct CursorParams {
    /// A `nextCursor` of this list in the same order, instead of `offset`. The cost does not grow.
    #[param(min_length = 1, max_length = 4096, pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}
