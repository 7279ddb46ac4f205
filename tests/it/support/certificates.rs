//! A certificate authority for one test, and a certificate for 127.0.0.1 that it has signed.

use std::path::PathBuf;
use std::process::Command;

use super::scratch;

#[derive(Debug)]
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = scratch("certificates");
        let openssl = |arguments: &str| {
            let output = Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(&folder)
                .output()
                .expect("openssl runs; `cargo xtask test --only tools` installs it");
            assert!(output.status.success(), "openssl {arguments}: {output:?}");
        };
        std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1").expect("a file");
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        );
        openssl(
            "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1",
        );
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san",
        );
        Self(folder)
    }

    /// The path of `ca.pem`, `server.pem` or `server.key`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // If this fails, the files stay in the build folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
