//! What needs attention; providers and channels.

use super::{Answer, render, visit::SignedIn};
use tegata_console::pages::OverviewPage;

/// The page.
pub async fn show(who: SignedIn) -> Answer {
    render(&OverviewPage::new(who.frame()))
}
