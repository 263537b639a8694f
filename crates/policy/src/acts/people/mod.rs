//! People: invited, given roles, signed in, disabled; and their personal tokens.

mod change;
mod common;
mod identity;
mod invite;
pub(super) mod replay;
mod sign_in;
mod tokens;

pub use change::{ChangePerson, DeletePerson, SetRole};
pub use identity::{LinkIdentity, UnlinkIdentity};
pub use invite::{AcceptInvitation, InvitePerson, LOGIN_TAKEN, MOST_INVITATIONS, ResetPerson};
pub use sign_in::{
    ChangePassword, EndSession, FirstFactor, MOST_SESSIONS, SecondFactor, SignIn, UseCode,
};
pub use tokens::{CreateAdminToken, DeleteAdminToken, MOST_ADMIN_TOKENS};
