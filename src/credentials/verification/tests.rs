use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;

const ME: &str = "me@example.com";
const CLIENT: &str = "192.0.2.1";
const FRESH: Duration = Duration::from_secs(5);

fn passwords() -> Passwords {
    Passwords::new(3, 1, 2).expect("a thread")
}

fn secret(password: &str) -> Secret {
    Secret::new(password)
}

/// What a backend with SCRAM-SHA-1 holds of a password.
fn held(password: &str, iterations: u32) -> ScramCredentials {
    let salt = b"salt".to_vec();
    let mut salted = [0; 20];
    pbkdf2::pbkdf2::<Hmac<Sha1>>(password.as_bytes(), &salt, iterations, &mut salted).unwrap();
    let mut mac = Hmac::<Sha1>::new_from_slice(&salted).unwrap();
    mac.update(b"Client Key");
    ScramCredentials {
        hash: Hash::Sha1,
        stored_key: Sha1::digest(mac.finalize().into_bytes()).to_vec(),
        salt,
        iterations,
    }
}

fn begin(passwords: &Passwords, password: &str, now: Instant) -> Verification {
    let begun = passwords.recall(ME, secret(password), CLIENT, now);
    begun.expect("a password to verify")
}

fn derive(
    passwords: &mut Passwords,
    verification: &mut Verification,
    credentials: Option<ScramCredentials>,
) -> Derived {
    let prepared = secret(verification.password().expose());
    let nobody = (Hash::Sha256, 1);
    passwords.derive(verification, prepared, credentials, nobody, Instant::now())
}

/// Derives, and waits for the end.
fn derived(passwords: &mut Passwords, password: &str, credentials: ScramCredentials) -> bool {
    let mut verification = begin(passwords, password, Instant::now());
    let Derived::Ticket(ticket) = derive(passwords, &mut verification, Some(credentials)) else {
        panic!("not derived");
    };
    end(passwords, ticket);
    verification.derived().expect("it has ended")
}

fn end(passwords: &mut Passwords, ticket: Ticket) {
    while !passwords.ended().contains(&ticket) {
        std::thread::yield_now();
    }
}

#[test]
fn a_password_fits_what_the_backend_holds_or_not() {
    let mut passwords = passwords();
    assert!(derived(&mut passwords, "secret", held("secret", 10)));
    assert!(!derived(&mut passwords, "Secret", held("secret", 10)));
    assert!(!derived(
        &mut passwords,
        "",
        ScramCredentials::nobody(Hash::Sha256, 10)
    ));
}

#[test]
fn credentials_of_sha_256_are_derived_alike() {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(b"secret", b"salt", 7, &mut salted).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&salted).unwrap();
    mac.update(b"Client Key");
    let credentials = ScramCredentials {
        hash: Hash::Sha256,
        stored_key: Sha256::digest(mac.finalize().into_bytes()).to_vec(),
        salt: b"salt".to_vec(),
        iterations: 7,
    };
    assert!(derived(&mut passwords(), "secret", credentials));
}

#[test]
fn a_right_password_is_remembered_and_confirmed_by_what_the_backend_holds() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let mut verification = begin(&passwords, "secret", now);
    assert!(!verification.is_remembered());
    assert!(!passwords.holds(&mut verification, &[b"stored"], now));
    passwords.accept(&mut verification, FRESH, now);
    assert!(
        passwords
            .recall(ME, secret("secret"), CLIENT, now)
            .is_none()
    );
    assert!(passwords.recall(ME, secret("other"), CLIENT, now).is_some());
    assert!(
        passwords
            .recall("you@example.com", secret("secret"), CLIENT, now)
            .is_some()
    );

    let later = now + FRESH;
    let mut stale = begin(&passwords, "secret", later);
    assert!(stale.is_remembered());
    assert!(!passwords.holds(&mut stale, &[b"changed"], later));
    assert!(passwords.holds(&mut stale, &[b"stored"], later));
    assert!(
        passwords
            .recall(ME, secret("secret"), CLIENT, later)
            .is_none()
    );
}

#[test]
fn what_a_backend_does_not_tell_is_asked_again() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let mut verification = begin(&passwords, "secret", now);
    passwords.accept(&mut verification, FRESH, now);
    assert!(!begin(&passwords, "secret", now + FRESH).is_remembered());
}

#[test]
fn a_password_that_is_forgotten_meanwhile_is_not_remembered() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let mut verification = begin(&passwords, "secret", now);
    passwords.forget(ME);
    passwords.accept(&mut verification, FRESH, now);
    assert!(
        passwords
            .recall(ME, secret("secret"), CLIENT, now)
            .is_some()
    );

    let mut verification = begin(&passwords, "secret", now);
    passwords.accept(&mut verification, FRESH, now);
    passwords.forget(ME);
    assert!(
        passwords
            .recall(ME, secret("secret"), CLIENT, now)
            .is_some()
    );
}

#[test]
fn attempts_are_counted_once_each_and_for_a_minute() {
    let (mut passwords, now) = (passwords(), Instant::now());
    for _ in 0..2 {
        let mut verification = begin(&passwords, "wrong", now);
        passwords.count(&mut verification, now);
        passwords.count(&mut verification, now);
    }
    let mut third = begin(&passwords, "wrong", now);
    assert_eq!(passwords.wait(&third, now), None);
    passwords.count(&mut third, now);
    assert_eq!(passwords.wait(&third, now), Some(61));
    let minute = Duration::from_secs(60);
    assert_eq!(passwords.wait(&third, now + minute), None);

    let elsewhere = passwords.recall(ME, secret("wrong"), "192.0.2.2", now);
    assert_eq!(
        elsewhere.and_then(|owner| passwords.wait(&owner, now)),
        None
    );
}

#[test]
fn what_turns_out_right_or_unknown_was_no_failed_attempt() {
    let (mut passwords, now) = (passwords(), Instant::now());
    for _ in 0..5 {
        let mut unknown = begin(&passwords, "secret", now);
        passwords.count(&mut unknown, now);
        passwords.give_up(&mut unknown);
        passwords.give_up(&mut unknown);
        let mut right = begin(&passwords, "secret", now);
        passwords.count(&mut right, now);
        passwords.accept(&mut right, Duration::ZERO, now);
    }
    let mut wrong = begin(&passwords, "wrong", now);
    passwords.count(&mut wrong, now);
    assert_eq!(passwords.wait(&wrong, now), None);
}

#[test]
fn the_same_password_is_derived_once_at_a_time() {
    let mut passwords = passwords();
    let now = Instant::now();
    let mut first = begin(&passwords, "secret", now);
    let mut second = begin(&passwords, "secret", now);
    for verification in [&mut first, &mut second] {
        passwords.holds(verification, &[b"stored"], now);
    }
    let slow = held("secret", 20_000);
    let ticket = derive(&mut passwords, &mut first, Some(slow.clone()));
    assert_eq!(
        derive(&mut passwords, &mut second, Some(slow.clone())),
        ticket
    );
    assert_eq!(passwords.wait(&second, now), None, "it can be waited for");

    let mut changed = begin(&passwords, "secret", now);
    passwords.holds(&mut changed, &[b"changed"], now);
    assert_ne!(derive(&mut passwords, &mut changed, Some(slow)), ticket);

    let Derived::Ticket(ticket) = ticket else {
        panic!("{ticket:?}");
    };
    end(&mut passwords, ticket);
    assert_eq!(
        (first.derived(), second.derived()),
        (Some(true), Some(true))
    );
}

#[test]
fn an_account_that_does_not_exist_takes_as_long_as_others() {
    let mut passwords = passwords();
    let mut first = begin(&passwords, "x", Instant::now());
    let Derived::Ticket(ticket) = derive(&mut passwords, &mut first, None) else {
        panic!("how long it takes is not known yet");
    };
    end(&mut passwords, ticket);
    assert_eq!(first.derived(), Some(false));
    let mut second = begin(&passwords, "y", Instant::now());
    match derive(&mut passwords, &mut second, None) {
        Derived::Pause(pause) => assert!(pause >= Duration::from_micros(1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_many_at_once_are_busy_and_were_no_failed_attempts() {
    let mut passwords = passwords();
    let now = Instant::now();
    let slow = held("secret", 200_000);
    let mut busy = None;
    for number in 0..4 {
        let mut verification = begin(&passwords, &number.to_string(), now);
        if derive(&mut passwords, &mut verification, Some(slow.clone())) == Derived::Busy {
            busy = Some(verification);
            break;
        }
    }
    let busy = busy.expect("the queue is full");
    assert_eq!(busy.derived(), None);
    assert!(!busy.counted);
}
