//! SCRAM credentials, and whether a password matches them (RFC 5802).

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::secret::Secret;

/// The hash function of a SCRAM mechanism (RFC 5802, RFC 7677).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    /// The name of the mechanism without `SCRAM-` (RFC 5802, section 4).
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "SHA-1",
            Hash::Sha256 => "SHA-256",
        }
    }
}

/// The credentials that an authentication backend stores (RFC 5802, section 3). They have no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredentials {
    pub hash: Hash,
    /// `StoredKey`: the hash of the client key.
    pub stored_key: Vec<u8>,
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
}

impl Drop for ScramCredentials {
    fn drop(&mut self) {
        self.stored_key.zeroize();
    }
}

impl ScramCredentials {
    /// Whether a password, already prepared (RFC 5802, section 2.2), is right. The time does not depend on the
    /// password.
    pub fn verify(&self, password: &Secret) -> bool {
        match self.hash {
            Hash::Sha1 => self.verify_with::<Hmac<Sha1>, Sha1, 20>(password),
            Hash::Sha256 => self.verify_with::<Hmac<Sha256>, Sha256, 32>(password),
        }
    }

    fn verify_with<M, D, const N: usize>(&self, password: &Secret) -> bool
    where
        M: Mac + hmac::digest::KeyInit + Clone + Sync + hmac::digest::FixedOutput,
        D: Digest,
    {
        let mut salted = Zeroizing::new([0; N]);
        let password = password.expose().as_bytes();
        if pbkdf2::pbkdf2::<M>(password, &self.salt, self.iterations, &mut *salted).is_err() {
            return false;
        }
        let Ok(mut mac) = <M as hmac::digest::KeyInit>::new_from_slice(&*salted) else {
            return false;
        };
        Mac::update(&mut mac, b"Client Key");
        let stored = D::digest(Mac::finalize(mac).into_bytes());
        stored.as_slice().ct_eq(&self.stored_key).into()
    }

    /// Credentials that no password matches, for accounts that do not exist. Their verification takes the same work as
    /// for a new account, whose salt is a UUID.
    pub fn nobody(hash: Hash, iterations: u32) -> ScramCredentials {
        ScramCredentials {
            hash,
            stored_key: Vec::new(),
            salt: vec![0; 36],
            iterations,
        }
    }
}
