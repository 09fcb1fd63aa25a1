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

/// The credentials of a password in a backend with SCRAM-SHA-1.
fn scram_credentials(password: &str, iterations: u32) -> ScramCredentials {
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

/// The attempt with a password that is not remembered.
fn attempt(passwords: &Passwords, password: &str, now: Instant) -> Attempt {
    match passwords.recall(ME, secret(password), CLIENT, now) {
        Recall::Attempt(attempt) => attempt,
        Recall::Accepted => panic!("{password} is remembered"),
        Recall::Throttled(seconds) => panic!("throttled for {seconds} seconds"),
    }
}

fn is_accepted(passwords: &Passwords, account: &str, password: &str, now: Instant) -> bool {
    let recall = passwords.recall(account, secret(password), CLIENT, now);
    matches!(recall, Recall::Accepted)
}

/// The seconds to wait before a password is tried again.
fn wait(passwords: &Passwords, password: &str, client: Client, now: Instant) -> Option<u64> {
    match passwords.recall(ME, secret(password), client, now) {
        Recall::Throttled(seconds) => Some(seconds),
        _ => None,
    }
}

/// Begins an attempt that the backend tests.
fn begin_tested(
    passwords: &mut Passwords,
    password: &str,
    stored: StoredPassword,
    now: Instant,
) -> Pending {
    let attempt = attempt(passwords, password, now);
    match passwords.begin(attempt, stored, FRESH, now) {
        BeginResult::Backend(pending) => pending,
        _ => panic!("the backend does not test {password}"),
    }
}

/// Begins an attempt that is derived; `None` if too many wait.
fn begin_derived(
    passwords: &mut Passwords,
    attempt: Attempt,
    credentials: ScramCredentials,
) -> Option<(Ticket, Pending)> {
    let prepared = secret(attempt.password().expose());
    let stored = StoredPassword::Scram {
        credentials,
        prepared,
    };
    match passwords.begin(attempt, stored, FRESH, Instant::now()) {
        BeginResult::Deriving(ticket, pending) => Some((ticket, pending)),
        BeginResult::Busy => None,
        _ => panic!("it is not derived"),
    }
}

/// Derives a password and waits for the verdict.
fn verdict(passwords: &mut Passwords, password: &str, credentials: ScramCredentials) -> bool {
    let attempt = attempt(passwords, password, Instant::now());
    let (ticket, pending) =
        begin_derived(passwords, attempt, credentials).expect("a place in the queue");
    end(passwords, ticket);
    let verdict = passwords.finish(pending, None, Duration::ZERO, Instant::now());
    verdict.expect("the derivation has ended")
}

fn end(passwords: &mut Passwords, ticket: Ticket) {
    while !passwords.ended().contains(&ticket) {
        std::thread::yield_now();
    }
}

#[test]
fn a_password_matches_the_backends_credentials_or_not() {
    let mut passwords = passwords();
    assert!(verdict(
        &mut passwords,
        "secret",
        scram_credentials("secret", 10)
    ));
    assert!(!verdict(
        &mut passwords,
        "Secret",
        scram_credentials("secret", 10)
    ));
    let unknown_account = ScramCredentials::nobody(Hash::Sha256, 10);
    assert!(!verdict(&mut passwords, "", unknown_account));
}

#[test]
fn credentials_of_sha_256_are_derived_too() {
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
    assert!(verdict(&mut passwords(), "secret", credentials));
}

#[test]
fn a_right_password_is_cached_and_confirmed_by_the_backend() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let pending = begin_tested(
        &mut passwords,
        "secret",
        StoredPassword::Plain(b"stored"),
        now,
    );
    assert_eq!(
        passwords.finish(pending, Some(true), FRESH, now),
        Some(true)
    );
    assert!(is_accepted(&passwords, ME, "secret", now));
    assert!(!is_accepted(&passwords, ME, "other", now));
    assert!(!is_accepted(&passwords, "you@example.com", "secret", now));

    let later_time = now + FRESH;
    drop(begin_tested(
        &mut passwords,
        "secret",
        StoredPassword::Plain(b"changed"),
        later_time,
    ));
    let stale = attempt(&passwords, "secret", later_time);
    let result = passwords.begin(stale, StoredPassword::Plain(b"stored"), FRESH, later_time);
    assert!(matches!(result, BeginResult::Accepted));
    assert!(is_accepted(&passwords, ME, "secret", later_time));
}

#[test]
fn a_password_that_the_backend_confirms_is_accepted_even_after_many_failures() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let pending = begin_tested(
        &mut passwords,
        "secret",
        StoredPassword::Plain(b"stored"),
        now,
    );
    passwords.finish(pending, Some(true), FRESH, now);
    let later_time = now + FRESH;
    for _ in 0..3 {
        let pending = begin_tested(&mut passwords, "wrong", StoredPassword::Unknown, later_time);
        passwords.finish(pending, Some(false), FRESH, later_time);
    }
    // The minute began with the first attempt.
    assert_eq!(wait(&passwords, "wrong", CLIENT, later_time), Some(56));
    for backend in [&b"changed"[..], b"stored\0"] {
        let stale = attempt(&passwords, "secret", later_time);
        let result = passwords.begin(stale, StoredPassword::Plain(backend), FRESH, later_time);
        assert!(matches!(result, BeginResult::Throttled(56)));
    }
    let stale = attempt(&passwords, "secret", later_time);
    let result = passwords.begin(stale, StoredPassword::Plain(b"stored"), FRESH, later_time);
    assert!(matches!(result, BeginResult::Accepted));
}

#[test]
fn a_backend_that_does_not_show_the_password_is_asked_again() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let pending = begin_tested(&mut passwords, "secret", StoredPassword::Unknown, now);
    passwords.finish(pending, Some(true), FRESH, now);
    assert!(is_accepted(&passwords, ME, "secret", now));
    begin_tested(
        &mut passwords,
        "secret",
        StoredPassword::Unknown,
        now + FRESH,
    );
}

#[test]
fn a_password_that_is_forgotten_during_its_verification_is_not_cached() {
    let (mut passwords, now) = (passwords(), Instant::now());
    let pending = begin_tested(&mut passwords, "secret", StoredPassword::Unknown, now);
    passwords.forget(ME);
    passwords.finish(pending, Some(true), FRESH, now);
    assert!(!is_accepted(&passwords, ME, "secret", now));

    let pending = begin_tested(&mut passwords, "secret", StoredPassword::Unknown, now);
    passwords.finish(pending, Some(true), FRESH, now);
    passwords.forget(ME);
    assert!(!is_accepted(&passwords, ME, "secret", now));
}

#[test]
fn each_attempt_is_counted_once_for_a_minute() {
    let (mut passwords, now) = (passwords(), Instant::now());
    for _ in 0..2 {
        let pending = begin_tested(&mut passwords, "wrong", StoredPassword::Unknown, now);
        passwords.finish(pending, Some(false), FRESH, now);
    }
    assert_eq!(wait(&passwords, "wrong", CLIENT, now), None);
    let third = begin_tested(&mut passwords, "wrong", StoredPassword::Unknown, now);
    assert_eq!(wait(&passwords, "wrong", CLIENT, now), Some(61));
    let minute = Duration::from_secs(60);
    assert_eq!(wait(&passwords, "wrong", CLIENT, now + minute), None);
    assert_eq!(wait(&passwords, "wrong", ELSEWHERE, now), None);
    drop(third);
    assert_eq!(wait(&passwords, "wrong", CLIENT, now), None);
}

#[test]
fn right_and_unknown_passwords_are_not_counted() {
    let (mut passwords, now) = (passwords(), Instant::now());
    for verdict in [None, Some(true)].repeat(5) {
        let pending = begin_tested(&mut passwords, "secret", StoredPassword::Unknown, now);
        let finished = passwords.finish(pending, verdict, Duration::ZERO, now);
        assert_eq!(finished, verdict);
    }
    let pending = begin_tested(&mut passwords, "wrong", StoredPassword::Unknown, now);
    passwords.finish(pending, Some(false), FRESH, now);
    assert_eq!(wait(&passwords, "wrong", CLIENT, now), None);
}

#[test]
fn the_same_password_is_derived_once_at_a_time() {
    let mut passwords = Passwords::new(1, 1, 2).expect("a thread");
    let now = Instant::now();
    let changed = attempt(&passwords, "secret", now);
    let (first, second) = (
        attempt(&passwords, "secret", now),
        attempt(&passwords, "secret", now),
    );
    let slow = scram_credentials("secret", 20_000);
    let (ticket, first) = begin_derived(&mut passwords, first, slow.clone()).unwrap();
    let (shared_ticket, second) = begin_derived(&mut passwords, second, slow).unwrap();
    assert_eq!(shared_ticket, ticket);
    assert_eq!(wait(&passwords, "other", CLIENT, now), Some(61));
    assert_eq!(wait(&passwords, "secret", CLIENT, now), None);

    let (other_ticket, changed) =
        begin_derived(&mut passwords, changed, scram_credentials("changed", 10)).unwrap();
    assert_ne!(other_ticket, ticket);
    drop(changed);

    end(&mut passwords, ticket);
    let verdict = |pending| passwords.finish(pending, None, FRESH, now);
    assert_eq!([first, second].map(verdict), [Some(true); 2]);
}

#[test]
fn each_wrong_attempt_of_a_shared_derivation_is_counted() {
    let mut passwords = passwords();
    let now = Instant::now();
    let attempts: Vec<_> = (0..3).map(|_| attempt(&passwords, "wrong", now)).collect();
    let credentials = scram_credentials("secret", 20_000);
    let mut begin = |attempt| begin_derived(&mut passwords, attempt, credentials.clone()).unwrap();
    let pending: Vec<_> = attempts.into_iter().map(&mut begin).collect();
    end(&mut passwords, pending[0].0);
    for (_, pending) in pending {
        assert_eq!(wait(&passwords, "other", CLIENT, now), None);
        passwords.finish(pending, None, FRESH, now);
    }
    assert!(wait(&passwords, "other", CLIENT, now).is_some());
}

/// Begins to derive a wrong password of an account, for a client. Returns the ticket.
fn guess(
    passwords: &mut Passwords,
    account: &str,
    client: Client,
    credentials: ScramCredentials,
) -> Ticket {
    let recall = passwords.recall(account, secret("guess"), client, Instant::now());
    let Recall::Attempt(attempt) = recall else {
        panic!("no attempt at {account}");
    };
    let (ticket, pending) =
        begin_derived(passwords, attempt, credentials).expect("a place in the queue");
    // It stays counted.
    std::mem::forget(pending);
    ticket
}

/// The tickets in the order in which they end.
fn order(passwords: &mut Passwords, count: usize) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while tickets.len() < count {
        tickets.append(&mut passwords.ended());
        std::thread::yield_now();
    }
    tickets
}

#[test]
fn the_password_of_an_unknown_account_takes_the_same_place_in_the_queue() {
    let mut passwords = Passwords::new(3, 1, 20).expect("a thread");
    let busy = guess(
        &mut passwords,
        "busy@example.com",
        ELSEWHERE,
        scram_credentials("x", 200_000),
    );
    let mut tickets = vec![busy];
    for number in 0..12 {
        let credentials = match number % 2 {
            0 => scram_credentials("secret", 10),
            _ => ScramCredentials::nobody(Hash::Sha1, 10),
        };
        let account = format!("user{number}@example.com");
        tickets.push(guess(&mut passwords, &account, CLIENT, credentials));
    }
    assert_eq!(order(&mut passwords, 13), tickets);
}

#[test]
fn a_client_that_fails_for_many_accounts_is_served_after_other_clients() {
    let mut passwords = Passwords::new(3, 1, 20).expect("a thread");
    let busy = guess(
        &mut passwords,
        "busy@example.com",
        CLIENT,
        scram_credentials("x", 400_000),
    );
    let guesses: Vec<Ticket> = (0..8)
        .map(|number| {
            let account = format!("user{number}@example.com");
            let unknown_account = ScramCredentials::nobody(Hash::Sha1, 10);
            guess(&mut passwords, &account, CLIENT, unknown_account)
        })
        .collect();
    let owner = guess(
        &mut passwords,
        ME,
        ELSEWHERE,
        scram_credentials("guess", 10),
    );
    let tickets = order(&mut passwords, 10);
    assert_eq!(tickets[..2], [busy, owner]);
    assert_eq!(tickets[2..], guesses);
}

#[test]
fn too_many_attempts_at_once_are_busy_and_not_counted() {
    let mut passwords = Passwords::new(9, 1, 2).expect("a thread");
    let (now, slow) = (Instant::now(), scram_credentials("secret", 200_000));
    let mut pending = Vec::new();
    loop {
        let attempt = attempt(&passwords, &pending.len().to_string(), now);
        match begin_derived(&mut passwords, attempt, slow.clone()) {
            Some(derivation) => pending.push(derivation),
            None => break,
        }
    }
    assert!((2..=3).contains(&pending.len()), "{}", pending.len());
    let failures = passwords.failures.borrow();
    let account = passwords.verifier.account(ME);
    // One for the client, one for the client and the account.
    let counted = u32::try_from(2 * pending.len()).unwrap();
    assert_eq!(failures.rank(CLIENT, account, now), counted);
}
