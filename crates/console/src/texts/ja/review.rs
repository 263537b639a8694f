//! Review, in Japanese.

use crate::{html, html::Html, texts::ReviewTexts};

pub const TEXTS: ReviewTexts = ReviewTexts {
    revoke_token: |id| html!("トークン{}を取り消しますか", id),
    revoke_group: |count, group| html!("グループ{}の{}を取り消しますか", group, of(count)),
    revoke_kind: |count, kind| {
        html!("種類{}の{}を取り消しますか", Html::text(kind.name()), of(count))
    },
    revoke_key: |count, key| {
        html!("アサーション署名キー{}で発行された{}を取り消しますか", key, of(count))
    },
    revoke_channel: |count, channel| html!("チャネル{}の{}を取り消しますか", channel, of(count)),
    delete_group: |count, group| html!("グループ{}を削除し、{}を取り消しますか", group, of(count)),
    revoke_signing_key: |count, key| html!("署名鍵{}と{}を取り消しますか", key, of(count)),
    delete_verifier: |name, id| html!("検証サーバー{}（{}）を削除しますか", name, id),
    remove_instance: |instance, verifier| {
        html!("検証サーバー{}のインスタンス{}を取り除きますか", verifier, instance)
    },
    rotate_signing_key: "署名鍵を更新しますか",
    revoke_short: "トークンの取り消し",
    not_undone: "まだ何も取り消されていません。取り消しは元に戻せません。",
    one_stateless_short: "ステートレストークン",
    one_stateless: "これはステートレストークンです。保存されないため一覧には表示されません。\
                    有効期間は最大15分です。",
    keys_go: "グループの設定とアサーション署名キーも削除されます。",
    revoke: |count| match count {
        0 => "トークンを取り消す".to_owned(),
        _ => format!("{count}件を取り消す"),
    },
    keep: |_| "取り消さない",
    delete_group_do: "グループを削除する",
    keep_group: "削除しない",
    delete_verifier_do: "検証サーバーを削除する",
    keep_verifier: "削除しない",
    remove_do: "インスタンスを取り除く",
    keep_instance: "取り除かない",
    revoke_key_do: "署名鍵を取り消す",
    keep_key: "取り消さない",
    rotate_do: "署名鍵を更新する",
    do_not_rotate: "更新しない",
    delete_verifier_why: "認証情報はただちに拒否され、インスタンスは変更を受け取れなくなります。各インスタンスは、\
                          リース期限が切れるまで受領証に残ります。",
    remove_why: "プログラムが完全に停止している場合にのみ取り除いてください。以後の受領証はこのインスタンスを\
                 待ちません。まだ動作している場合、一覧に表示されないまま失効したトークンを受け入れる可能性があります。",
    revoke_signing_key_why: "この鍵で署名されたトークンは、すべてのチャネルで取り消されます。使用中の鍵の場合、\
                             別の鍵がただちに置き換えます。",
    rotate_why: "新しい署名鍵が作成され、ただちに公開されます。すべての検証サーバーが受け取った後に署名に使われ、\
                 現在の鍵は退役します。現在の鍵で署名されたトークンは有効期限まで有効で、取り消されるトークンはありません。",
    only_token: |id| html!("トークン{}だけを取り消す", id),
    suspend: "チャネルを停止する（あとで再開できます）",
};

fn of(count: usize) -> Html {
    Html::text(&match count {
        0 => "すべてのトークン".to_owned(),
        _ => format!("トークン{count}件"),
    })
}
