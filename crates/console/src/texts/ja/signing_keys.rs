//! Signing keys, in Japanese.

use crate::texts::SigningKeysTexts;
use tegata_token::key::KeyState;

pub const TEXTS: SigningKeysTexts = SigningKeysTexts {
    title: "署名鍵",
    lead: "このサーバーは、すべてのトークンに署名鍵で署名します。公開鍵は/.well-known/jwks.jsonにあります。",
    keys: "すべての署名鍵（新しい順）",
    key: "鍵ID",
    state: |it| match it {
        KeyState::Pending => "待機中",
        KeyState::Active => "使用中",
        KeyState::Retired { .. } => "退役",
        KeyState::Revoked => "失効",
    },
    meaning: |it| match it {
        KeyState::Pending => "公開済みです。すべての検証サーバーが受け取った後に署名に使われます。",
        KeyState::Active => "すべての新しいトークンに署名します。",
        KeyState::Retired { issued_before: None } => {
            "署名には使われません。この鍵で署名されたトークンは有効期限まで有効です。"
        }
        KeyState::Retired { issued_before: Some(_) } => {
            "署名には使われません。この鍵で署名されたトークンのうち、復旧前に発行されたものだけが有効です。"
        }
        KeyState::Revoked => "この鍵で署名されたトークンはすべて失効しています。",
    },
    created: "作成日時",
    rotate: "署名鍵を更新する…",
    rotate_under: "90日ごとなど、定期的に更新してください。取り消されるトークンはありません。",
    pending: "更新中です",
    pending_under: "待機中の鍵は、すべての検証サーバーが受け取った後に署名に使われます。それまで次の更新はできません。",
    revoke: "取り消す…",
    what_states: "更新",
};
