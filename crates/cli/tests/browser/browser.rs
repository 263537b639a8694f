//! A person at a browser: what they see, press, and type.
//!
//! Controls are found by their name for assistive technology. Every wait is for a condition,
//! up to [`PATIENCE`].

use crate::driver::Driver;
use fantoccini::{
    Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    error::CmdError,
    key::Key,
};
use serde_json::{Value, json};
use std::{thread, time::Duration};

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// More controls than any page has before the one that is looked for.
const TABS: usize = 300;

/// How a person uses the console.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// With a mouse, at a desk.
    Desk,
    /// With a finger, on a phone.
    Phone,
    /// By Tab, Enter, Space, arrows and typing alone.
    Keyboard,
    /// With a mouse, without JavaScript.
    NoScript,
}

pub struct Browser {
    pub driver: Driver,
    way: Way,
    /// The address of the server.
    pub url: String,
}

const PRESSED: &str = "a[href], button, summary, input[type=submit]";
const FILLED: &str = "input:not([type=hidden]):not([type=radio]):not([type=checkbox]), textarea";
const CHOSEN: &str = "input[type=radio], input[type=checkbox], option";

impl Browser {
    pub fn open(url: &str, way: Way) -> Self {
        let driver = Driver::start();
        let browser = Self { driver, way, url: url.to_owned() };
        browser.width(if way == Way::Phone { 360 } else { 1440 });
        if way == Way::NoScript {
            let off = json!({ "value": true });
            browser.driver.chromium("Emulation.setScriptExecutionDisabled", off);
        }
        browser
    }

    /// Sets the width of the page.
    pub fn width(&self, width: u32) {
        let phone = width < 768;
        let metrics = json!({
            "width": width, "height": if phone { 740 } else { 900 },
            "deviceScaleFactor": 1, "mobile": phone,
        });
        self.driver.chromium("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Sets the preference of the system: `light` or `dark`.
    pub fn scheme(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.driver.chromium("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Opens an address, or a path of the server.
    pub fn goes_to(&self, place: &str) -> &Self {
        let address =
            if place.starts_with('/') { format!("{}{place}", self.url) } else { place.to_owned() };
        self.driver.wait(self.driver.client.goto(&address));
        self
    }

    /// What the browser has complained about since the last call: scripts that failed, files
    /// that are missing, and violations of the policy for content.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.driver.console();
        // A form with an error is answered with 422, and its page is shown.
        all.retain(|it| !it.contains("status of 422"));
        all
    }

    #[track_caller]
    pub fn has_no_complaint(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}: {complaints:#?}", self.path());
    }

    /// An attribute of the first element that a selector finds.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let read = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])";
        let read = self.driver.client.execute(read, vec![json!(selector), json!(name)]);
        self.driver.attempt(read).ok()?.as_str().map(str::to_owned)
    }

    /// The path of the page.
    pub fn path(&self) -> String {
        let url = self.driver.wait(self.driver.client.current_url());
        url.query().map_or_else(|| url.path().to_owned(), |it| format!("{}?{it}", url.path()))
    }

    /// Runs a script in the page.
    pub fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.driver.wait(self.driver.client.execute(script, arguments))
    }

    /// The visible text of the page.
    pub fn text(&self) -> String {
        self.try_text().unwrap_or_default()
    }

    fn try_text(&self) -> Result<String, CmdError> {
        let text = "return document.readyState === 'complete' ? document.body.innerText : ''";
        let text = self.driver.attempt(self.driver.client.execute(text, vec![]))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows this text.
    #[track_caller]
    pub fn sees(&self, text: &str) -> &Self {
        self.until(&format!("“{text}” on the page"), || {
            self.text().contains(text).then_some(())
        });
        self
    }

    /// The text does not occur on the page.
    #[track_caller]
    pub fn does_not_see(&self, text: &str) -> &Self {
        let all = self.text();
        assert!(!all.contains(text), "“{text}” is on {}:\n{all}", self.path());
        self
    }

    /// Fills and sends a form by the names of its fields, whatever the language, and waits for
    /// the next page.
    #[track_caller]
    pub fn sends(&self, form: &str, fields: &[(&str, &str)]) -> &Self {
        let send = "const form = document.querySelector(arguments[0]);
            for (const [name, value] of arguments[1]) form.elements[name].value = value;
            window.sent = true; form.requestSubmit()";
        self.script(send, vec![json!(form), json!(fields)]);
        let arrived = "return !window.sent && document.readyState === 'complete'";
        self.until("the next page", || {
            let arrived = self.driver.client.execute(arrived, vec![]);
            (self.driver.attempt(arrived).ok()? == json!(true)).then_some(())
        });
        self
    }

    /// Follows a link, presses a button, or opens what a summary folds.
    #[track_caller]
    pub fn presses(&self, name: &str) -> &Self {
        self.unfolds(PRESSED, name);
        self.until(&format!("a control “{name}”"), || {
            let control = self.find(PRESSED, name)?;
            if self.way == Way::Keyboard {
                self.tabs_to(&control)?;
                self.types_key(Key::Enter);
                return Some(());
            }
            self.driver.attempt(control.click()).ok()
        });
        self
    }

    /// Types into a field.
    #[track_caller]
    pub fn fills(&self, name: &str, text: &str) -> &Self {
        self.unfolds(FILLED, name);
        let field = self.until(&format!("a field “{name}”"), || {
            let field = self.find(FILLED, name)?;
            if self.way == Way::Keyboard {
                // Reaching a field by Tab selects what it holds.
                self.tabs_to(&field)?;
                return Some(field);
            }
            self.driver.attempt(field.clear()).ok().map(|()| field)
        });
        if self.way == Way::Keyboard {
            self.types(text);
        } else {
            self.driver.wait(field.send_keys(text));
        }
        self
    }

    /// Chooses a radio button, a checkbox or an option of a list.
    #[track_caller]
    pub fn chooses(&self, name: &str) -> &Self {
        self.unfolds(CHOSEN, name);
        self.until(&format!("a choice “{name}”"), || {
            let choice = self.find(CHOSEN, name)?;
            if self.way != Way::Keyboard {
                return self.driver.attempt(choice.click()).ok();
            }
            self.chooses_by_keyboard(&choice, name)
        });
        self
    }

    fn chooses_by_keyboard(&self, choice: &Element, name: &str) -> Option<()> {
        let tag = self.driver.attempt(choice.tag_name()).ok()?;
        if tag == "option" {
            let list = self.driver.attempt(choice.find(Locator::XPath("ancestor::select"))).ok()?;
            self.tabs_to(&list)?;
            self.types(name);
            return Some(());
        }
        if self.driver.attempt(choice.is_selected()).ok()? {
            return Some(());
        }
        if self.driver.attempt(choice.attr("type")).ok()?.as_deref() == Some("checkbox") {
            self.tabs_to(choice)?;
            self.types_key(Key::Space);
            return Some(());
        }
        // Tab reaches one button of a group, and the arrows the others.
        let group = self.driver.attempt(choice.attr("name")).ok()??;
        self.tabs_to_group(&group)?;
        for _ in 0..TABS {
            let active = self.active()?;
            if active.element_id() == choice.element_id() {
                if !self.driver.attempt(choice.is_selected()).ok()? {
                    self.types_key(Key::Space);
                }
                return Some(());
            }
            self.types_key(Key::Down);
        }
        None
    }

    /// Moves the focus to a group of radio buttons.
    fn tabs_to_group(&self, name: &str) -> Option<()> {
        for _ in 0..TABS {
            let active = self.active()?;
            if self.driver.attempt(active.attr("name")).ok()?.as_deref() == Some(name) {
                return Some(());
            }
            self.types_key(Key::Tab);
        }
        None
    }

    /// Moves the focus to a control.
    fn tabs_to(&self, control: &Element) -> Option<()> {
        for _ in 0..TABS {
            if self.active()?.element_id() == control.element_id() {
                assert!(self.shows_focus(), "the focused control has no outline: {}", self.path());
                return Some(());
            }
            self.types_key(Key::Tab);
        }
        panic!(
            "Tab does not reach {:?} on {}",
            self.driver.name(&control.element_id()),
            self.path()
        );
    }

    /// Whether a person sees which control has the focus.
    fn shows_focus(&self) -> bool {
        let visible = "const all = [document.activeElement, document.activeElement.parentElement];
            return all.some(it => { const s = getComputedStyle(it);
                return (s.outlineStyle !== 'none' && s.outlineWidth !== '0px') || s.boxShadow !== 'none' })";
        self.script(visible, vec![]) == json!(true)
    }

    fn active(&self) -> Option<Element> {
        self.driver.attempt(self.driver.client.active_element()).ok()
    }

    /// Types text, key by key, where the focus is.
    pub fn types(&self, text: &str) {
        let keys = text.chars().fold(KeyActions::new("keys".into()), |keys, value| {
            keys.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.driver.wait(self.driver.client.perform_actions(keys));
    }

    pub fn types_key(&self, key: Key) {
        self.types(&char::from(key).to_string());
    }

    /// Opens what folds the only control of this name, as the menus of a phone do.
    fn unfolds(&self, controls: &str, name: &str) {
        if self.find(controls, name).is_some() {
            return;
        }
        let summaries = "return [...document.querySelectorAll(arguments[0])]
            .filter(it => it.textContent.replace(/\\s+/g, ' ').trim().startsWith(arguments[1])
                || [...(it.labels ?? [])].some(label => label.textContent.trim() === arguments[1]))
            .map(it => it.closest('details:not([open])')?.querySelector('summary')?.textContent.trim())
            .find(it => it) ?? null";
        let summary = self.script(summaries, vec![json!(controls), json!(name)]);
        if let Some(summary) = summary.as_str() {
            self.presses(summary);
        }
    }

    /// The first visible control of this kind whose name is, or else begins with, `name`.
    fn find(&self, controls: &str, name: &str) -> Option<Element> {
        let all = self.driver.client.find_all(Locator::Css(controls));
        let mut begins = None;
        for control in self.driver.attempt(all).ok()? {
            let own = self.driver.name(&control.element_id()).ok()?;
            if !own.starts_with(name) || !self.driver.attempt(control.is_displayed()).ok()? {
                continue;
            }
            if own == name {
                return Some(control);
            }
            begins.get_or_insert(control);
        }
        begins
    }

    #[track_caller]
    pub fn until<T>(&self, what: &str, condition: impl Fn() -> Option<T>) -> T {
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if let Some(it) = condition() {
                return it;
            }
            thread::sleep(PAUSE);
        }
        let (path, text, console) = (self.path(), self.text(), self.driver.console());
        panic!("{:?}: no {what} on {path}, which shows:\n{text}\n{console:#?}", self.way);
    }
}
