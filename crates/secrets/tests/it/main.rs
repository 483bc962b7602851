//! Fernet against Python's `cryptography`, both ways.

use std::{path::PathBuf, process::Command};

use tradewind_secrets::{Fernet, generate_key};

fn python() -> PathBuf {
    let path = std::env::var_os("TRADEWIND_TEST_PYTHON")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python"), PathBuf::from);
    assert!(
        path.exists(),
        "no Python environment at {}: `make test` prepares it (or set TRADEWIND_TEST_PYTHON)",
        path.display()
    );
    path
}

fn run(script: &str, args: &[&str]) -> String {
    let output = Command::new(python()).arg("-c").arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
}

#[test]
fn python_reads_what_we_encrypt_and_we_read_what_it_encrypts() {
    let (key, old) = (generate_key(), generate_key());
    let ours = Fernet::new(&[&key, &old]).unwrap();
    let text = "pässword with \"quotes\" and 🔑";

    let decrypted = run(
        "import sys; from cryptography.fernet import Fernet\n\
         sys.stdout.buffer.write(Fernet(sys.argv[1]).decrypt(sys.argv[2]))",
        &[&key, &ours.encrypt(text)],
    );
    assert_eq!(decrypted, text);

    let sealed = run(
        "import sys; from cryptography.fernet import Fernet\n\
         print(Fernet(sys.argv[1]).encrypt(sys.argv[2].encode()).decode())",
        &[&old, text],
    );
    assert_eq!(ours.decrypt(&sealed).unwrap(), text);

    let rotated = run(
        "import sys; from cryptography.fernet import Fernet, MultiFernet\n\
         print(MultiFernet([Fernet(k) for k in sys.argv[1:3]]).rotate(sys.argv[3].encode()).decode())",
        &[&key, &old, &sealed],
    );
    assert_eq!(Fernet::new(&[&key]).unwrap().decrypt(&rotated).unwrap(), text);
    let again = run(
        "import sys; from cryptography.fernet import Fernet\n\
         sys.stdout.buffer.write(Fernet(sys.argv[1]).decrypt(sys.argv[2]))",
        &[&key, &ours.rotate(&sealed).unwrap()],
    );
    assert_eq!(again, text);
}

#[test]
fn a_key_that_python_makes_is_taken() {
    let key = run("from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())", &[]);
    let fernet = Fernet::new(&[key]).unwrap();
    assert_eq!(fernet.decrypt(&fernet.encrypt("x")).unwrap(), "x");
}
