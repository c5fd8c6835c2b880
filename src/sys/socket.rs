//! One datagram. rustix has sockets behind a feature that nothing else here needs, and with panic paths.

use super::code::Code;
use super::kernel::call;
use super::open::unix_datagram;
use core::ffi::{CStr, c_char, c_int};
use core::mem::offset_of;
use core::ptr::{from_ref, null};
use linux_raw_sys::general as k;
use linux_raw_sys::net as n;
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

/// The control message that passes a descriptor; with what fills it up to the alignment of the next.
#[repr(C)]
struct Rights {
    header: n::cmsghdr,
    fd: RawFd,
}

/// Makes it the address of a path, or of an abstract name, which is written with `@` for its null; its length.
///
/// With the path's null it would be one byte longer: the kernel adds it.
fn fill(path: &mut [c_char; 108], text: &[u8]) -> Result<usize, Code> {
    let [first @ (b'/' | b'@'), ..] = text else { return Err(Code::AFNOSUPPORT) };
    if text.len() > path.len() {
        return Err(Code::NAMETOOLONG);
    }
    path.iter_mut().zip(text).for_each(|(to, from)| *to = *from as c_char);
    if *first == b'@' {
        path[0] = 0;
    }
    Ok(offset_of!(n::sockaddr_un, sun_path) + text.len())
}

/// Sends one datagram of the Unix domain, of two texts, with a descriptor if there is one.
///
/// Not inlined, so that the address does not stay on the caller's stack.
#[inline(never)]
pub(crate) fn send(to: &CStr, text: [&[u8]; 2], passed: Option<BorrowedFd<'_>>) -> Result<(), Code> {
    let mut address = n::sockaddr_un { sun_family: n::AF_UNIX as _, sun_path: [0; 108] };
    let length = fill(&mut address.sun_path, to.to_bytes())?;
    let rights = passed.map(|fd| Rights {
        header: n::cmsghdr {
            cmsg_len: offset_of!(Rights, fd) + size_of::<RawFd>(),
            cmsg_level: n::SOL_SOCKET as c_int,
            cmsg_type: n::SCM_RIGHTS as c_int,
        },
        fd: fd.as_raw_fd(),
    });
    let text = text.map(|text| k::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() as _ });
    // Of what is pointed to, nothing is written.
    let message = n::msghdr {
        msg_name: from_ref(&address).cast_mut().cast(),
        msg_namelen: length as c_int,
        msg_iov: text.as_ptr().cast_mut().cast(),
        msg_iovlen: text.len(),
        msg_control: rights.as_ref().map_or(null(), from_ref).cast_mut().cast(),
        msg_controllen: rights.as_ref().map_or(0, size_of_val),
        msg_flags: 0,
    };
    let socket = unix_datagram()?;
    let (socket, message) = (socket.as_raw_fd() as usize, from_ref(&message) as usize);
    // SAFETY: the kernel reads the message and what it refers to, all of which outlive the call.
    unsafe { call(k::__NR_sendmsg, socket, message, n::MSG_NOSIGNAL as usize) }.map(drop)
}
