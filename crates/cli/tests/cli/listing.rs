//! What lists and results show in their table form.

use crate::program::Desk;

#[test]
fn channels_groups_and_tokens_are_listed_with_what_people_need() {
    let desk = Desk::new();
    let provider = desk.json(&["provider", "create", "Company"])["provider_id"].clone();
    let create = ["channel", "create", "--provider", provider.as_str().unwrap(), "Night"];
    let made = desk.run(&create).expect(0);
    assert!(made.starts_with("channel_id"), "{made}");
    assert!(made.contains("channel_secret") && made.lines().count() <= 6, "{made}");
    let (channel, _) = desk.channel();
    let all = desk.run(&["channel", "list"]).expect(0);
    assert!(all.contains(&channel) && all.contains("Night"), "{all}");
    let found = desk.run(&["channel", "list", "--search", "night"]).expect(0);
    assert!(!found.contains(&channel) && found.contains("Night"), "{found}");
    desk.run(&["group", "set", "--channel", &channel, "blue", "--contact", "x"]).expect(0);
    let groups = desk.run(&["group", "list", "--channel", &channel]).expect(0);
    let blue = groups.lines().find(|line| line.starts_with("blue")).unwrap();
    assert!(blue.contains("evict-oldest") && !blue.contains(" - "), "{groups}");
    let tokens = desk.run(&["token", "list", "--channel", &channel]).expect(0);
    assert!(tokens.contains("LAST USED AT"), "{tokens}");
}
