//! The file descriptors between us and a guest process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Largest packet on the control channel; the guest reads with a buffer of the same size.
const MAX_PACKET_BYTES: usize = 64 << 10;

/// Our end of the control channel: a socket that keeps packets apart and carries file descriptors. Tokio has no type
/// for such a socket; that for streams watches it just as well, and is never read or written as a stream.
#[derive(Debug)]
pub(crate) struct ControlSocket(UnixStream);

impl ControlSocket {
    /// A pair: our end, and the one that becomes the zygote's standard input.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self(UnixStream::from_std(ours.into())?), theirs))
    }

    /// Sends one packet, waiting for room.
    pub(crate) async fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, || send_packet(self.0.as_fd(), packet, fds)).await
    }

    /// Sends one packet if there is room for it.
    pub(crate) fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        send_packet(self.0.as_fd(), packet, &[])
    }

    /// Receives one packet; `None` when the zygote is gone.
    pub(crate) async fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        let read = self
            .0
            .async_io(Interest::READABLE, || {
                let (read, _) = rustix::net::recv(&self.0, &mut packet[..], rustix::net::RecvFlags::empty())?;
                Ok(read)
            })
            .await;
        match read {
            Ok(0) => Ok(None),
            Ok(read) => {
                packet.truncate(read);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn send_packet(socket: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    // A packet goes as a whole or not at all.
    send_some(socket, packet, fds).map(|_| ())
}

fn send_some(socket: BorrowedFd<'_>, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many file descriptors for one packet"));
    }
    Ok(rustix::net::sendmsg(socket, &[io::IoSlice::new(data)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Our ends of one job.
#[derive(Debug)]
pub(crate) struct JobChannels {
    pub(crate) requests: UnixStream,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
    pub(crate) logs: pipe::Receiver,
}

/// The guest's ends, in the order in which it expects them. Dropped as soon as they are sent.
#[derive(Debug)]
pub(crate) struct GuestEnds(Vec<OwnedFd>);

impl GuestEnds {
    /// The ends of a job that is a zygote itself: its control channel.
    pub(crate) fn of_zygote(control: OwnedFd) -> Self {
        Self(vec![control])
    }

    pub(crate) fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd).collect()
    }
}

/// Makes the channels of one job. The guest's ends block, as Python expects.
pub(crate) fn job_channels() -> io::Result<(JobChannels, GuestEnds)> {
    let (ours, requests) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (stdout_read, stdout) = output_pipe()?;
    let (stderr_read, stderr) = output_pipe()?;
    let (logs_read, logs) = output_pipe()?;
    let channels = JobChannels {
        requests: UnixStream::from_std(ours)?,
        stdout: stdout_read,
        stderr: stderr_read,
        logs: logs_read,
    };
    Ok((channels, GuestEnds(vec![requests.into(), stdout, stderr, logs])))
}

/// Sends a frame whose first byte carries a file descriptor.
pub(crate) async fn send_with_fd(stream: &mut UnixStream, frame: &[u8], fd: OwnedFd) -> io::Result<()> {
    let sent = stream.async_io(Interest::WRITABLE, || send_some(stream.as_fd(), frame, &[fd.as_fd()])).await?;
    tokio::io::AsyncWriteExt::write_all(stream, &frame[sent..]).await
}

/// A pipe that a process of the task writes to.
pub(crate) fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(read)?, write))
}
