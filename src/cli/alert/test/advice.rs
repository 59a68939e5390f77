//! What to do about a receiver that does not accept a message: which key or file to look at. Names
//! files and never what is in them.

use crate::config::settings::{AlerterSettings, EmailSettings, MailSecurity};

/// Sentences that say where to look, by the `words` about what went wrong; at least one.
pub(super) fn advice(receiver: &str, words: &str, settings: &AlerterSettings) -> Vec<String> {
    if receiver == "email" {
        return vec![mail(words, &settings.email)];
    }
    let mut advice = vec![format!("look at [alerter.{receiver}]: where it is and how to log in")];
    if words.contains("certificate") {
        advice.push("its certificate must be signed by an authority this machine knows".to_owned());
    }
    advice
}

fn mail(words: &str, email: &EmailSettings) -> String {
    let EmailSettings { host, port, from, username, .. } = email;
    let password_file = email.password_file.path().display();
    let begins = |with: &str| words.starts_with(with);
    let has = |part: &str| words.contains(part);
    if has("no answer") {
        format!(
            "{host}:{port} is too slow, drops what is sent, or speaks TLS from the first byte where STARTTLS is \
             expected: look at [alerter.email] host, port and timeout, and at security"
        )
    } else if begins("cannot find ") {
        format!("[alerter.email] host = {host:?} is a name that this machine cannot look up")
    } else if has("connection refused by") {
        format!("nothing listens there: look at [alerter.email] host = {host:?} and port = {port}")
    } else if has("does not offer STARTTLS") {
        "falconer sends nothing in plain: if the server speaks TLS from the first byte, set [alerter.email] \
         security = \"tls\" and its port, often 465"
            .to_owned()
    } else if has("not valid for name") {
        format!(
            "[alerter.email] host must be the name in the server's certificate, and is {host:?}"
        )
    } else if has("certificate") || begins("cannot use ") {
        authority(email)
    } else if begins("TLS: ") || begins("greeting: ") {
        speech(email)
    } else if begins("login: ") {
        format!(
            "[alerter.email] username = {username:?} or the password in {password_file} is not what the \
             server wants"
        )
    } else if begins("sender: ") {
        format!("the server does not let this login send as [alerter.email] from = {from:?}")
    } else if begins("recipient") || begins("refused ") || begins("put off ") {
        "look at [alerter.email] to, or ask whoever runs the mail server why it refuses the address"
            .to_owned()
    } else if begins("message: ") {
        "the server has refused the mail itself: ask whoever runs it, with the words above"
            .to_owned()
    } else if !username.is_empty() && has(&password_file.to_string()) {
        format!(
            "[alerter.email] password_file = {password_file} must be a file that falconer can read"
        )
    } else {
        "look at [alerter.email]".to_owned()
    }
}

fn authority(email: &EmailSettings) -> String {
    if email.ca_file.as_os_str().is_empty() {
        "this machine does not know who signed the server's certificate: name the authority's certificate \
         (PEM) in [alerter.email] ca_file"
            .to_owned()
    } else {
        format!(
            "[alerter.email] ca_file = {} must hold the certificate (PEM) of the authority that signed the \
             server's",
            email.ca_file.display()
        )
    }
}

/// The server speaks, but not what was expected.
fn speech(email: &EmailSettings) -> String {
    let (port, security) = (email.port, email.security);
    let other = match security {
        MailSecurity::Starttls => "465 is for \"tls\"",
        MailSecurity::Tls => "587 and 25 are for \"starttls\"",
        MailSecurity::None => "587 is for \"starttls\", 465 for \"tls\"",
    };
    format!("[alerter.email] port = {port} and security must fit together: as a rule {other}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Vec<String> {
        let mut settings = AlerterSettings::default();
        settings.email.host = "smtp.example.com".to_owned();
        settings.email.username = "falconer".to_owned();
        settings.email.password_file = crate::effects::secret::SecretFile::new("/run/smtp");
        advice("email", message, &settings)
    }

    #[test]
    fn each_kind_of_failure_names_the_key_to_look_at() {
        for (message, key) in [
            ("login: 535 wrong", "the password in /run/smtp"),
            ("cannot read /run/smtp: no such file", "password_file = /run/smtp"),
            ("cannot find smtp.example.com: no such host", "host = \"smtp.example.com\""),
            ("a:587 does not offer STARTTLS", "security = \"tls\""),
            ("TLS: a:587: invalid peer certificate: UnknownIssuer", "ca_file"),
            ("TLS: invalid peer certificate: certificate not valid for name \"a\"", "host must"),
            ("sender: 553 no", "from"),
            ("recipient a@b: 550 no", "to,"),
            ("connection refused by a:587", "port = 587"),
            ("greeting: not the answer of a mail server", "465 is for"),
        ] {
            let advice = refused(message).join("\n");
            assert!(advice.contains(key), "{message}: {advice}");
        }
    }
}
