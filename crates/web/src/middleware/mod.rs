//! What every request passes, from the outermost: [`observe`], [`limits`], [`gate`].

mod bearer;
pub(crate) mod gate;
pub(crate) mod limits;
pub(crate) mod observe;
mod request_id;
