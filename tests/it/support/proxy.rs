//! A TCP proxy on 127.0.0.1 that does to a connection what networks do.
//!
//! Each connection has two lanes, and a lane two threads: one reads, one writes when the bytes are due. A change
//! of [`Fault`] takes hold on connections that are open already.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// What the proxy does to connections.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: bytes pass.
    Pass,
    /// No connection is taken, and open ones end.
    Refuse,
    /// Connections are taken and then reset, and open ones end.
    Reset,
    /// Connections are taken and kept, but no byte moves, in either direction.
    Stall,
    /// A connection is cut once so many bytes went one way.
    CutAfter(Towards, u64),
    /// Something happens when the client has sent this text (in clear).
    OnSight(&'static [u8], Then),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    Client,
    Server,
}

/// What happens to a connection whose client has sent the text of [`Fault::OnSight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The text reaches the server, no answer reaches the client, and the connection stays open.
    SwallowAnswers,
    /// The text reaches the server; the client's side is cut at once, so that no answer reaches it.
    CutAfterDelivery,
    /// The text does not reach the server, and both sides are cut.
    CutBeforeDelivery,
    /// Neither the text nor anything after it moves, in either direction.
    Stall,
}

/// A listening proxy. Dropped, it ends its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    fault: Mutex<Fault>,
    /// One way, before each chunk is passed on.
    delay: Mutex<Duration>,
    /// Bytes per second and direction; `u64::MAX` for no limit.
    rate: AtomicU64,
    sights: AtomicUsize,
    passed: [AtomicU64; 2],
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    listening: AtomicBool,
    ended: AtomicBool,
}

impl Proxy {
    /// A proxy to a port of 127.0.0.1, passing everything.
    pub fn to(server_port: u16) -> Self {
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], server_port)),
            fault: Mutex::new(Fault::Pass),
            delay: Mutex::default(),
            rate: AtomicU64::new(u64::MAX),
            sights: AtomicUsize::default(),
            passed: Default::default(),
            accepted: AtomicUsize::default(),
            open: Mutex::default(),
            listening: AtomicBool::new(true),
            ended: AtomicBool::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || listen(port, Some(listener), &of_listener));
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what happens, on open connections too.
    pub fn set(&self, fault: Fault) {
        let ends = matches!(fault, Fault::Refuse | Fault::Reset);
        let refuses = matches!(fault, Fault::Refuse);
        *self.shared.fault.lock().unwrap() = fault;
        if ends {
            self.sever();
        }
        // A refused connection needs a closed listener: wait until it is so, or is open again.
        while self.shared.listening.load(Ordering::SeqCst) == refuses {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends every open connection.
    pub fn sever(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// A slow network: `delay` each way, so many bytes per second each way.
    pub fn slow(&self, delay: Duration, bytes_per_second: u64) {
        *self.shared.delay.lock().unwrap() = delay;
        self.shared.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    /// How often the text of [`Fault::OnSight`] was seen.
    pub fn sights(&self) -> usize {
        self.shared.sights.load(Ordering::SeqCst)
    }

    /// How many connections were taken.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Bytes that went one way, over all connections.
    pub fn passed(&self, towards: Towards) -> u64 {
        self.shared.passed[towards as usize].load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.sever();
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        self.fault.lock().unwrap().clone()
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

fn listen(port: u16, mut listener: Option<TcpListener>, shared: &Arc<Shared>) {
    while !shared.ended() {
        if matches!(shared.fault(), Fault::Refuse) {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(("127.0.0.1", port)).ok();
        }
        shared.listening.store(listener.is_some(), Ordering::SeqCst);
        let accepted = listener.as_ref().and_then(|listener| {
            listener.set_nonblocking(true).expect("a socket");
            listener.accept().ok()
        });
        let Some((client, _)) = accepted else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        client.set_nonblocking(false).expect("a socket");
        let _ = client.set_nodelay(true);
        if matches!(shared.fault(), Fault::Reset) {
            // A socket that is closed with unread bytes sends RST, and so does not need SO_LINGER.
            std::thread::spawn(move || {
                let _ = client.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = client.peek(&mut [0]);
            });
            continue;
        }
        let Ok(server) = TcpStream::connect(shared.server) else {
            continue;
        };
        let _ = server.set_nodelay(true);
        let swallowing = Arc::new(AtomicBool::new(false));
        let ways = [
            (&client, &server, Towards::Server),
            (&server, &client, Towards::Client),
        ];
        for (from, to, towards) in ways {
            let (from, to) = (
                from.try_clone().expect("a socket"),
                to.try_clone().expect("a socket"),
            );
            let lane = Lane {
                from,
                to,
                towards,
                swallowing: Arc::clone(&swallowing),
                shared: Arc::clone(shared),
            };
            std::thread::spawn(move || lane.run());
        }
        shared.open.lock().unwrap().extend([client, server]);
    }
}

/// One direction of one connection.
struct Lane {
    from: TcpStream,
    to: TcpStream,
    towards: Towards,
    swallowing: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Lane {
    fn run(mut self) {
        let (due, queue) = mpsc::sync_channel::<(Instant, Vec<u8>)>(4096);
        let (mut to, shared) = (
            self.to.try_clone().expect("a socket"),
            Arc::clone(&self.shared),
        );
        let writer = std::thread::spawn(move || {
            for (when, bytes) in queue {
                std::thread::sleep(when.saturating_duration_since(Instant::now()));
                let rate = shared.rate.load(Ordering::SeqCst);
                if rate != u64::MAX {
                    std::thread::sleep(Duration::from_nanos(
                        bytes.len() as u64 * 1_000_000_000 / rate,
                    ));
                }
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        self.read(&due);
        drop(due);
        let _ = writer.join();
    }

    /// Reads until the connection ends or is to be cut.
    fn read(&mut self, due: &mpsc::SyncSender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 64 * 1024];
        let mut tail = Vec::new();
        let mut gone: u64 = 0;
        loop {
            let length = match self.from.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let mut bytes = &buffer[..length];
            while matches!(self.shared.fault(), Fault::Stall) {
                if self.shared.ended() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut cut = false;
            match self.shared.fault() {
                Fault::CutAfter(towards, limit) if towards == self.towards => {
                    let left = usize::try_from(limit.saturating_sub(gone)).unwrap_or(usize::MAX);
                    cut = bytes.len() >= left;
                    bytes = &bytes[..bytes.len().min(left)];
                }
                Fault::OnSight(text, then) if self.towards == Towards::Server => {
                    tail.extend_from_slice(bytes);
                    if tail.windows(text.len()).any(|window| window == text) {
                        self.shared.sights.fetch_add(1, Ordering::SeqCst);
                        match then {
                            Then::SwallowAnswers => self.swallowing.store(true, Ordering::SeqCst),
                            Then::CutAfterDelivery => {
                                self.swallowing.store(true, Ordering::SeqCst);
                                let _ = due.send((Instant::now(), bytes.to_vec()));
                                // The server works on; only the client learns nothing more.
                                let _ = self.from.shutdown(Shutdown::Both);
                                std::thread::sleep(Duration::from_millis(200));
                                return;
                            }
                            Then::CutBeforeDelivery => {
                                self.cut();
                                return;
                            }
                            Then::Stall => {
                                self.swallowing.store(true, Ordering::SeqCst);
                                while !self.shared.ended()
                                    && matches!(self.from.read(&mut buffer), Ok(1..))
                                {
                                }
                                return;
                            }
                        }
                    }
                    tail.drain(..tail.len().saturating_sub(text.len()));
                }
                _ => {}
            }
            if self.towards == Towards::Client && self.swallowing.load(Ordering::SeqCst) {
                continue;
            }
            gone += bytes.len() as u64;
            self.shared.passed[self.towards as usize]
                .fetch_add(bytes.len() as u64, Ordering::SeqCst);
            let when = Instant::now() + *self.shared.delay.lock().unwrap();
            if due.send((when, bytes.to_vec())).is_err() {
                return;
            }
            if cut {
                // What went before the limit still arrives.
                std::thread::sleep(Duration::from_millis(50));
                self.cut();
                return;
            }
        }
    }

    fn cut(&self) {
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }
}
