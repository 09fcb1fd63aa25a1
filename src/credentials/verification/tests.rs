use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::credentials::scram::Hash;

const ME: &str = "me@example.com";
const CLIENT: Client = Client::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: Client = Client::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
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
    credentials: ScramCredentials,
) -> Result<Ticket, Busy> {
    let prepared = secret(verification.password().expose());
    passwords.derive(verification, prepared, credentials, Instant::now())
}

/// Derives, and waits for the end.
fn derived(passwords: &mut Passwords, password: &str, credentials: ScramCredentials) -> bool {
    let mut verification = begin(passwords, password, Instant::now());
    let ticket = derive(passwords, &mut verification, credentials).expect("a place in the queue");
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

    let elsewhere = passwords.recall(ME, secret("wrong"), ELSEWHERE, now);
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
    let ticket = derive(&mut passwords, &mut first, slow.clone());
    assert_eq!(derive(&mut passwords, &mut second, slow.clone()), ticket);
    assert_eq!(passwords.wait(&second, now), None, "it can be waited for");

    let mut changed = begin(&passwords, "secret", now);
    passwords.holds(&mut changed, &[b"changed"], now);
    assert_ne!(derive(&mut passwords, &mut changed, slow), ticket);

    end(&mut passwords, ticket.unwrap());
    assert_eq!(
        (first.derived(), second.derived()),
        (Some(true), Some(true))
    );
}

/// Begins to derive a wrong password of an account, for a client. > the ticket
fn guess(
    passwords: &mut Passwords,
    account: &str,
    client: Client,
    credentials: ScramCredentials,
) -> Ticket {
    let begun = passwords.recall(account, secret("guess"), client, Instant::now());
    let mut verification = begun.expect("a password to verify");
    derive(passwords, &mut verification, credentials).expect("a place in the queue")
}

/// The tickets in the order in which they end.
fn order(passwords: &mut Passwords, count: usize) -> Vec<Ticket> {
    let mut ended = Vec::new();
    while ended.len() < count {
        ended.append(&mut passwords.ended());
        std::thread::yield_now();
    }
    ended
}

#[test]
fn the_password_of_an_account_that_does_not_exist_takes_the_same_place_in_the_queue() {
    let mut passwords = Passwords::new(3, 1, 20).expect("a thread");
    let busy = guess(
        &mut passwords,
        "busy@example.com",
        ELSEWHERE,
        held("x", 200_000),
    );
    let mut tickets = vec![busy];
    for number in 0..12 {
        let credentials = match number % 2 {
            0 => held("secret", 10),
            _ => ScramCredentials::nobody(Hash::Sha1, 10),
        };
        let account = format!("user{number}@example.com");
        tickets.push(guess(&mut passwords, &account, CLIENT, credentials));
    }
    assert_eq!(order(&mut passwords, 13), tickets);
}

#[test]
fn a_client_that_fails_for_many_accounts_comes_after_an_owner_elsewhere() {
    let mut passwords = Passwords::new(3, 1, 20).expect("a thread");
    let busy = guess(
        &mut passwords,
        "busy@example.com",
        CLIENT,
        held("x", 400_000),
    );
    let guesses: Vec<Ticket> = (0..8)
        .map(|number| {
            let account = format!("user{number}@example.com");
            let nobody = ScramCredentials::nobody(Hash::Sha1, 10);
            guess(&mut passwords, &account, CLIENT, nobody)
        })
        .collect();
    let owner = guess(&mut passwords, ME, ELSEWHERE, held("guess", 10));
    let ended = order(&mut passwords, 10);
    assert_eq!(ended[..2], [busy, owner]);
    assert_eq!(ended[2..], guesses);
}

#[test]
fn too_many_at_once_are_busy_and_were_no_failed_attempts() {
    let mut passwords = passwords();
    let now = Instant::now();
    let slow = held("secret", 200_000);
    let mut busy = None;
    for number in 0..4 {
        let mut verification = begin(&passwords, &number.to_string(), now);
        if derive(&mut passwords, &mut verification, slow.clone()) == Err(Busy) {
            busy = Some(verification);
            break;
        }
    }
    let busy = busy.expect("the queue is full");
    assert_eq!(busy.derived(), None);
    assert!(!busy.counted);
}
