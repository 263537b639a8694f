use crate::texts::OverviewTexts;

pub const TEXTS: OverviewTexts = OverviewTexts {
    title: "概要",
    providers: "プロバイダー",
    create_provider: "プロバイダーを作成する",
};
