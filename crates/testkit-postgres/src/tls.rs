//! A server that speaks TLS, and those who may reach it by TCP.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The password of everybody who comes by TCP.
pub const PASSWORD: &str = "correct horse/battery@staple";
/// Who is admitted only by an encrypted connection.
pub const ENCRYPTED: &str = "encrypted";
/// Who is admitted only by one that is not.
pub const PLAIN: &str = "plain";

/// The certificate of whoever signed the server's, in the cluster's directory.
pub(crate) const ROOT: &str = "root.crt";

/// Who may come, and how.
const ADMITTED: &str = "
    local      all  all                    trust
    hostssl    all  encrypted  all  scram-sha-256
    hostnossl  all  plain      all  scram-sha-256
";

/// Where the server answers.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) port: u16,
}

impl Tls {
    /// Makes a root, a certificate for `localhost`, and the list of who may come, in a cluster's
    /// directory, and chooses a port that is free now.
    pub(crate) fn prepare(directory: &Path, user: Option<(u32, u32)>) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_certificate = root.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        for (name, content) in [
            (ROOT, root_certificate.pem()),
            ("server.crt", certificate.pem()),
            ("server.key", key.serialize_pem()),
            ("admitted", ADMITTED.to_owned()),
        ] {
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            if name != ROOT {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            if let Some((user, group)) = user {
                chown(&path, Some(user), Some(group)).unwrap();
            }
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port }
    }

    /// What the server is told.
    pub(crate) fn settings(&self, directory: &Path) -> String {
        let (port, directory) = (self.port, directory.display());
        format!(
            "listen_addresses = 'localhost'\nport = {port}\nssl = on\n\
             ssl_cert_file = '{directory}/server.crt'\nssl_key_file = '{directory}/server.key'\n\
             hba_file = '{directory}/admitted'\n"
        )
    }
}

/// The certificate of somebody who signed nothing.
pub fn other_root() -> String {
    let key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.self_signed(&key).unwrap().pem()
}

/// Makes those who come by TCP.
pub(crate) fn users() -> String {
    [ENCRYPTED, PLAIN]
        .map(|user| format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{PASSWORD}';"))
        .concat()
}
