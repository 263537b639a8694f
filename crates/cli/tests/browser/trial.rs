use crate::browser::{Browser, Way};
#[test]
fn trial() {
    let way = match std::env::var("WAY").unwrap().as_str() { "K" => Way::Keyboard, "N" => Way::NoScript, "P" => Way::Phone, _ => Way::Desk };
    let b = Browser::open("http://127.0.0.1:8999", way);
    b.goes_to("/01-sign-in.html");
    b.fills("Name", "mika").fills("Password", "x").sees("Sign in to");
    eprintln!("{}", b.script("return document.getElementById('who').value", vec![]));
    b.goes_to("/04-messaging-api.html");
    b.chooses("6 hours");
    eprintln!("{}", b.script("return document.querySelector('input[name=delay]:checked').value", vec![]));
    b.presses("Tokens");
    b.sees("Timeline");
    eprintln!("{} {:?}", b.path(), b.driver.console());
    let axe = std::fs::read_to_string("../../target/test-parts/browser/node_modules/axe-core/axe.min.js").unwrap();
    let t = std::time::Instant::now();
    b.script(&axe, vec![]);
    let found = b.driver.wait(b.driver.client.execute_async("const done = arguments[0]; axe.run().then(r => done(r.violations), e => done(String(e)))", vec![]));
    eprintln!("{:?} {found:#}", t.elapsed());
    if std::env::var("FAIL").is_ok() { panic!("x"); }
}
