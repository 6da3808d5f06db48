//! What handlers take from a request. Ids are read before authorization; bodies and queries are
//! taken as they are, and read after it.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod client_ip;
pub(crate) mod form;
pub(crate) mod import_body;
pub(crate) mod members;
pub(crate) mod query;
pub(crate) mod scope;
pub(crate) mod terms;
pub(crate) mod values;
pub(crate) mod visitor;
