use crate::texts::OverviewTexts;

pub const TEXTS: OverviewTexts =
    OverviewTexts { title: "Overview", providers: "Providers", create_provider: "Create provider" };
