//! Provider, in Japanese.

use crate::{html, texts::ProviderTexts};
use tegata_policy::rules::ChannelType;

pub const TEXTS: ProviderTexts = ProviderTexts {
    tabs: "このプロバイダーのページ",
    channels: "チャネル",
    id: |id| html!("プロバイダーID {}", id),
    created: |at| html!("作成日 {}", at),
    create_channel: "チャネルを作成する",
    no_channels: "表示できるチャネルはありません",
    no_channels_why: "閲覧できるチャネルがここに表示されます。",
    no_channels_create: "チャネルを作成してください。プログラムがトークンの発行に使うIDとシークレットが\
                         割り当てられます。",
    settings: "設定",
    deletion: "削除",
    deletion_why: "すべてのチャネルを削除すると、プロバイダーを削除できます。元に戻すことはできません。",
    delete: "プロバイダーを削除する",
    delete_question: |name| html!("プロバイダー{}を削除しますか", name),
    keep: "削除しない",
    cannot_undo: "まだ何も削除されていません。削除すると元に戻せません。",
    type_hint: |of| match of {
        ChannelType::MessagingApi => "ボット用。すべての種類のトークンを発行できます。",
        ChannelType::LineLogin => "ログイン用。短期とステートレスのトークンを発行できます。",
        ChannelType::MiniApp => "LINEミニアプリ用。短期とステートレスのトークンを発行できます。",
    },
};
