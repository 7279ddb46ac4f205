//! Starts an nginx for one test, as a proxy in front of a server. It has a free port and a new folder for its files.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{scratch, wait};

#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Nginx {
    /// Starts a proxy for `upstream`, and waits until it listens. It keeps up to 32 idle connections to `upstream`.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        wait::until("an nginx that listens", || {
            let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let address = free.local_addr().expect("the listener is bound");
            drop(free);
            Self::launch(address, upstream)
        })
    }

    fn launch(address: SocketAddr, upstream: SocketAddr) -> Option<Self> {
        let folder = scratch("nginx");
        let place = folder.display();
        // With one process, killing it ends the whole nginx. nginx must not send a request twice.
        let config = format!(
            r#"
            daemon off;
            master_process off;
            pid "{place}/pid";
            error_log "{place}/errors";
            events {{}}
            http {{
                access_log off;
                client_body_temp_path "{place}/bodies";
                proxy_temp_path "{place}/proxied";
                fastcgi_temp_path "{place}/fastcgi";
                uwsgi_temp_path "{place}/uwsgi";
                scgi_temp_path "{place}/scgi";
                upstream app {{
                    server {upstream};
                    keepalive 32;
                }}
                server {{
                    listen {address};
                    location / {{
                        proxy_pass http://app;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_next_upstream off;
                    }}
                }}
            }}
            "#
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).expect("the folder can be written");
        // Debian installs nginx in a folder that is not in the `PATH` of every user.
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("nginx")
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("errors"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`nginx` is there: `cargo xtask tools` installs it");
        loop {
            if TcpStream::connect(address).is_ok() {
                return Some(Self { address, child });
            }
            // Another process may have taken the port.
            if child
                .try_wait()
                .expect("the process is a child of the test")
                .is_some()
            {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // This fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
