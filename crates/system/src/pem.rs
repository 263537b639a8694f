//! PEM (RFC 7468) as people hand it over: with line breaks written as `\n`, in quotes,
//! indented, or on one line. What it holds instead of the expected thing is named with the
//! command that converts it.

use zeroize::Zeroizing;

/// The sections of a document, in a form that every parser accepts.
pub struct Pem {
    /// The sections alone, each with its data on one line.
    pub text: Zeroizing<String>,
    /// The labels, in the order of the sections.
    pub labels: Vec<String>,
    /// Whether a section's data is encrypted.
    is_encrypted: bool,
    /// The label of a section without its last line.
    pub cut: Option<String>,
}

const BEGIN: &str = "-----BEGIN ";

impl Pem {
    /// Finds the sections of a document; text between them is ignored.
    #[must_use]
    pub fn find(document: &str) -> Self {
        let document = Zeroizing::new(document.replace("\\r", "\n").replace("\\n", "\n"));
        // Whitespace only becomes less, so the buffer does not grow and leave copies behind.
        let text = Zeroizing::new(String::with_capacity(document.len() + 64));
        let mut it = Self { text, labels: Vec::new(), is_encrypted: false, cut: None };
        let mut rest = document.as_str();
        while let Some((_, behind)) = rest.split_once(BEGIN) {
            rest = behind;
            let Some((label, behind)) = behind.split_once("-----") else { break };
            let end = format!("-----END {label}-----");
            let Some((data, behind)) = behind.split_once(&end) else {
                it.cut = Some(shown(label));
                continue;
            };
            it.add(label, data, &end);
            rest = behind;
        }
        it
    }

    fn add(&mut self, label: &str, data: &str, end: &str) {
        self.is_encrypted |= label == "ENCRYPTED PRIVATE KEY" || data.contains("ENCRYPTED");
        self.labels.push(shown(label));
        self.text.push_str(&format!("{BEGIN}{label}-----\n"));
        let is_data = |it: &char| !it.is_whitespace() && *it != '\\';
        data.chars().filter(is_data).for_each(|it| self.text.push(it));
        self.text.push_str(&format!("\n{end}\n"));
    }

    /// Whether a document is meant as PEM.
    #[must_use]
    pub fn is_in(document: &str) -> bool {
        document.contains(BEGIN) || document.contains("PuTTY-User-Key-File")
    }

    /// Whether the document has a private key that can be read without a password.
    #[must_use]
    pub fn has_private_key(&self) -> bool {
        let is_known =
            |it: &String| matches!(&**it, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY");
        !self.is_encrypted && self.labels.iter().any(is_known)
    }

    /// Says what the document holds instead of a private key, and what to do.
    #[must_use]
    pub fn instead_of_a_private_key(&self, document: &str) -> String {
        let has = |label: &str| self.labels.iter().any(|it| it == label);
        let advice = if self.is_encrypted {
            "its private key is encrypted with a password; `openssl pkey -in FILE -out KEY` \
             decrypts it"
        } else if has("OPENSSH PRIVATE KEY") {
            "it is an OPENSSH PRIVATE KEY; `cp FILE KEY && ssh-keygen -p -N '' -m PKCS8 -f KEY` \
             converts it"
        } else if has("DSA PRIVATE KEY") {
            "it is a DSA PRIVATE KEY, which is of no use here; `openssl genpkey -algorithm RSA \
             -out KEY` makes one that is"
        } else if has("CERTIFICATE") || has("TRUSTED CERTIFICATE") || has("X509 CERTIFICATE") {
            "it is a CERTIFICATE, not the private key, which is in another file; of a PKCS #12 \
             file, `openssl pkcs12 -in FILE -nocerts -nodes -out KEY` writes it"
        } else if has("PUBLIC KEY") || has("RSA PUBLIC KEY") {
            "it is a PUBLIC KEY; the private key that it was made from is in another file, and \
             cannot be computed from it"
        } else if document.contains("PuTTY-User-Key-File") {
            "it is a key of PuTTY; `puttygen FILE -O private-openssh -o KEY` converts it"
        } else if let Some(label) = &self.cut {
            return format!(
                "its section {label} is cut short: the line -----END {label}----- is \
                            missing; copy all of it"
            );
        } else if let Some(label) = self.labels.first() {
            return format!(
                "it is PEM of the kind {label}, not a private key; `openssl pkey -in FILE -out \
                 KEY` writes a private key as PEM"
            );
        } else {
            "it holds no PEM; `openssl pkey -inform DER -in FILE -out KEY` writes a key in DER as \
             PEM"
        };
        advice.to_owned()
    }

    /// Says what the document holds instead of a certificate, and what to do.
    #[must_use]
    pub fn instead_of_a_certificate(&self) -> String {
        let is = |part: &str| self.labels.iter().find(|it| it.contains(part));
        if let Some(label) = is("PRIVATE KEY") {
            format!("it is a {label}, not a certificate; are the two files swapped?")
        } else if let Some(label) = is("REQUEST") {
            format!("it is a {label}, which a certificate authority has yet to sign")
        } else if is("PKCS7").is_some() {
            "it is PKCS7; `openssl pkcs7 -print_certs -in FILE -out CERTIFICATE` converts it"
                .to_owned()
        } else if is("TRUSTED CERTIFICATE").is_some() {
            "it is a TRUSTED CERTIFICATE; `openssl x509 -in FILE -out CERTIFICATE` converts it"
                .to_owned()
        } else if let Some(label) = &self.cut {
            format!("its section {label} is cut short: the line -----END {label}----- is missing")
        } else if let Some(label) = self.labels.first() {
            format!("it is PEM of the kind {label}, not a certificate")
        } else {
            "it holds no PEM; `openssl x509 -inform DER -in FILE -out CERTIFICATE` writes a \
             certificate in DER as PEM"
                .to_owned()
        }
    }
}

/// A label for display.
fn shown(label: &str) -> String {
    label.chars().filter(|it| matches!(it, ' '..='~')).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "-----BEGIN PRIVATE KEY-----\nAAAABBBB\n-----END PRIVATE KEY-----\n";

    #[test]
    fn pem_is_found_in_every_form_that_people_hand_over() {
        let lines = "-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----";
        let escaped = lines.replace('\n', "\\n");
        for text in [
            lines.to_owned(),
            lines.replace('\n', "\r\n"),
            lines.replace('\n', "\n    "),
            lines.replace('\n', " "),
            lines.replace('\n', "\\\n"),
            format!("\"{lines}\""),
            escaped.clone(),
            format!("'{escaped}\\n'"),
            lines.replace('\n', "\\r\\n"),
            format!("Bag Attributes: x\n{lines}\nmore words"),
        ] {
            let found = Pem::find(&text);
            assert_eq!(*found.text, PLAIN, "{text}");
            assert!(found.has_private_key() && Pem::is_in(&text));
        }
    }

    #[test]
    fn what_is_no_private_key_is_named_with_the_command_that_converts_it() {
        let section = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
        let traditional = section("RSA PRIVATE KEY")
            .replace("\nAAAA", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA");
        for (text, said) in [
            (section("ENCRYPTED PRIVATE KEY"), "openssl pkey -in"),
            (traditional, "encrypted with a password"),
            (section("OPENSSH PRIVATE KEY"), "ssh-keygen -p"),
            (section("DSA PRIVATE KEY"), "DSA PRIVATE KEY"),
            (section("CERTIFICATE"), "a CERTIFICATE"),
            (section("PUBLIC KEY"), "a PUBLIC KEY"),
            (section("RSA PUBLIC KEY"), "a PUBLIC KEY"),
            (section("EC PARAMETERS"), "EC PARAMETERS"),
            ("PuTTY-User-Key-File-3: ssh-rsa".to_owned(), "puttygen"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA".to_owned(), "cut short"),
            ("nothing".to_owned(), "-inform DER"),
        ] {
            let found = Pem::find(&text);
            assert!(!found.has_private_key(), "{text}");
            let words = found.instead_of_a_private_key(&text);
            assert!(words.contains(said) && !words.contains("AAAA"), "{words}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_named_with_the_next_step() {
        for (label, said) in [
            ("RSA PRIVATE KEY", "swapped"),
            ("CERTIFICATE REQUEST", "yet to sign"),
            ("PKCS7", "openssl pkcs7"),
            ("TRUSTED CERTIFICATE", "openssl x509"),
            ("X509 CRL", "X509 CRL"),
        ] {
            let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
            let words = Pem::find(&text).instead_of_a_certificate();
            assert!(words.contains(said), "{words}");
        }
    }
}
