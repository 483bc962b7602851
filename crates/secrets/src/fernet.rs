//! Fernet, the format in which Airflow (and Python's `cryptography`) encrypts: AES-128-CBC with PKCS #7 padding, then
//! HMAC-SHA-256 over version, time, IV and ciphertext; everything in URL-safe Base64.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use aes::Aes128;
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The one version that there is.
const VERSION: u8 = 0x80;
/// Version, time and IV.
const HEAD: usize = 1 + 8 + 16;
const TAG: usize = 32;

/// URL-safe Base64 that writes padding and takes what Python's takes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Why a key or a token was not accepted. Neither is part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FernetError {
    /// No key at all.
    #[error("no Fernet key is given")]
    NoKey,
    /// A key that is not 32 bytes in URL-safe Base64.
    #[error(
        "Fernet key {position} is not 32 bytes in URL-safe Base64 (44 characters ending in \"=\"); make one with \
         `tradewind config generate-secrets`"
    )]
    BadKey {
        /// Which of the keys, counted from 1.
        position: usize,
    },
    /// A token that none of the keys made, or that was changed since.
    #[error("the token was not made with any of the Fernet keys, or was changed")]
    BadToken,
    /// What it holds is not text.
    #[error("the decrypted bytes are not UTF-8 text")]
    NotText,
}

#[derive(Clone)]
struct Key {
    signing: [u8; 16],
    encryption: [u8; 16],
}

impl Key {
    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.signing)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// One or more Fernet keys: the first encrypts, all decrypt (Python's `MultiFernet`), so that a key is rotated by putting
/// the new one in front.
#[derive(Clone)]
pub struct Fernet {
    keys: Vec<Key>,
}

impl fmt::Debug for Fernet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fernet {{ {} keys }}", self.keys.len())
    }
}

impl Fernet {
    /// Takes keys as Airflow's `fernet_key` holds them; an item may hold several, separated by commas.
    ///
    /// # Errors
    /// No key, or one that is not 32 bytes in URL-safe Base64.
    pub fn new<K: AsRef<str>>(keys: &[K]) -> Result<Self, FernetError> {
        let keys = keys
            .iter()
            .flat_map(|keys| keys.as_ref().split(','))
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .enumerate()
            .map(|(index, text)| decode_key(text).ok_or(FernetError::BadKey { position: index + 1 }))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(FernetError::NoKey);
        }
        Ok(Self { keys })
    }

    /// Encrypts text with the first key.
    pub fn encrypt(&self, text: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.encrypt_with(text.as_bytes(), now, rand::random())
    }

    /// Encrypts with a given time (seconds since the epoch) and IV. An IV must never be used twice: outside of tests use
    /// [`Fernet::encrypt`].
    pub fn encrypt_with(&self, bytes: &[u8], time: u64, iv: [u8; 16]) -> String {
        // `new` leaves at least one key.
        let key = &self.keys[0];
        let cipher = cbc::Encryptor::<Aes128>::new((&key.encryption).into(), (&iv).into());
        let mut token = Vec::with_capacity(HEAD + bytes.len() + 16 + TAG);
        token.push(VERSION);
        token.extend_from_slice(&time.to_be_bytes());
        token.extend_from_slice(&iv);
        token.extend_from_slice(&cipher.encrypt_padded_vec::<Pkcs7>(bytes));
        let tag = key.mac(&[&token]).finalize().into_bytes();
        token.extend_from_slice(&tag);
        BASE64.encode(token)
    }

    /// Decrypts text that any of the keys encrypted, whenever that was.
    ///
    /// # Errors
    /// The token was made with another key or changed, or does not hold text.
    pub fn decrypt(&self, token: &str) -> Result<String, FernetError> {
        String::from_utf8(self.decrypt_bytes(token)?).map_err(|_| FernetError::NotText)
    }

    /// Decrypts bytes.
    ///
    /// # Errors
    /// The token was made with another key or changed.
    pub fn decrypt_bytes(&self, token: &str) -> Result<Vec<u8>, FernetError> {
        let token = BASE64.decode(token.trim()).map_err(|_| FernetError::BadToken)?;
        if token.len() < HEAD + 16 + TAG || token[0] != VERSION {
            return Err(FernetError::BadToken);
        }
        let (signed, tag) = token.split_at(token.len() - TAG);
        let key = self
            .keys
            .iter()
            // `verify_slice` compares in constant time.
            .find(|key| key.mac(&[signed]).verify_slice(tag).is_ok())
            .ok_or(FernetError::BadToken)?;
        let (head, ciphertext) = signed.split_at(HEAD);
        let iv: [u8; 16] = head[9..].try_into().map_err(|_| FernetError::BadToken)?;
        cbc::Decryptor::<Aes128>::new((&key.encryption).into(), (&iv).into())
            .decrypt_padded_vec::<Pkcs7>(ciphertext)
            .map_err(|_| FernetError::BadToken)
    }

    /// Encrypts a token's content anew with the first key, keeping its time, as `MultiFernet.rotate` does.
    ///
    /// # Errors
    /// As [`Fernet::decrypt`].
    pub fn rotate(&self, token: &str) -> Result<String, FernetError> {
        let bytes = self.decrypt_bytes(token)?;
        let raw = BASE64.decode(token.trim()).map_err(|_| FernetError::BadToken)?;
        let time: [u8; 8] = raw.get(1..9).and_then(|time| time.try_into().ok()).ok_or(FernetError::BadToken)?;
        Ok(self.encrypt_with(&bytes, u64::from_be_bytes(time), rand::random()))
    }
}

/// A fresh random key.
pub fn generate_key() -> String {
    BASE64.encode(rand::random::<[u8; 32]>())
}

/// A fresh random token for a role: 43 URL-safe characters with 256 bits of randomness.
pub fn generate_token() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn decode_key(text: &str) -> Option<Key> {
    let bytes: [u8; 32] = BASE64.decode(text).ok()?.try_into().ok()?;
    let (signing, encryption) = bytes.split_at(16);
    Some(Key { signing: signing.try_into().ok()?, encryption: encryption.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the vectors of the Fernet specification (generate.json, verify.json, invalid.json).
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn fernet(key: &str) -> Fernet {
        Fernet::new(&[key]).unwrap()
    }

    #[test]
    fn the_specification_s_vector_is_generated_and_read() {
        let iv: [u8; 16] = std::array::from_fn(|index| index as u8);
        assert_eq!(fernet(KEY).encrypt_with(b"hello", 499_162_800, iv), TOKEN);
        assert_eq!(fernet(KEY).decrypt(TOKEN).unwrap(), "hello");
    }

    #[test]
    fn the_specification_s_invalid_tokens_are_refused() {
        for token in [
            // incorrect mac
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            // too short
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
            // invalid base64
            "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            // payload size not multiple of block size
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            // payload padding error
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            "",
        ] {
            assert_eq!(fernet(KEY).decrypt(token), Err(FernetError::BadToken), "{token}");
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let token = BASE64.decode(TOKEN).unwrap();
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(fernet(KEY).decrypt(&BASE64.encode(changed)), Err(FernetError::BadToken), "bit {bit}");
        }
    }

    #[test]
    fn an_old_key_still_reads_and_the_new_one_writes() {
        let (old, new) = (generate_key(), generate_key());
        let sealed = fernet(&old).encrypt("s3cret");
        let both = Fernet::new(&[format!("{new}, {old}")]).unwrap();
        assert_eq!(both.decrypt(&sealed).unwrap(), "s3cret");
        let rotated = both.rotate(&sealed).unwrap();
        assert_eq!(fernet(&new).decrypt(&rotated).unwrap(), "s3cret");
        assert_eq!(fernet(&old).decrypt(&rotated), Err(FernetError::BadToken));
        assert_eq!(rotated[..12], sealed[..12], "the time is kept");
    }

    #[test]
    fn equal_texts_give_different_tokens() {
        let fernet = fernet(&generate_key());
        assert_ne!(fernet.encrypt("a"), fernet.encrypt("a"));
        assert_eq!(fernet.decrypt(&fernet.encrypt("")).unwrap(), "");
        let long = "ü".repeat(100_000);
        assert_eq!(fernet.decrypt(&fernet.encrypt(&long)).unwrap(), long);
    }

    #[test]
    fn bad_keys_are_named_by_position_and_never_shown() {
        assert_eq!(Fernet::new::<&str>(&[]).unwrap_err(), FernetError::NoKey);
        assert_eq!(Fernet::new(&[" , "]).unwrap_err(), FernetError::NoKey);
        let error = Fernet::new(&[format!("{KEY},hunter2hunter2")]).unwrap_err();
        assert_eq!(error, FernetError::BadKey { position: 2 });
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{:?}", fernet(KEY)).contains("cw_0"));
    }
}
