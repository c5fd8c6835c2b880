//! What goes wrong, and where.

use crate::errnos;
use rustix::io::Errno;
use std::fmt::{Display, Formatter};

/// The nth system call of one kind, of one process of those that the function makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// 0 is the caller; the others are counted in the order in which they begin.
    pub role: usize,
    /// Its name, with its command if it has some.
    pub call: String,
    /// Counted from zero.
    pub nth: usize,
    /// Its third argument, which may be a length.
    pub length: u64,
}

/// How it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It is not made; once.
    Fails(Errno),
    /// Nor is any other of its kind, from there on, in any process: as on an old kernel, or behind a filter.
    Denied(Errno),
    /// It is made, and fails.
    FailsAfter(Errno),
    /// It gets that length.
    Short(u64),
}

/// A fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// How.
    pub how: How,
}

impl Fault {
    /// The errno, if there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self.how {
            How::Fails(errno) | How::Denied(errno) | How::FailsAfter(errno) => Some(errno),
            How::Short(_) => None,
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Place { role, call, nth, .. } = &self.place;
        let (nth, process) = (nth + 1, ["caller", "second process", "third process"].get(*role).unwrap_or(&"later process"));
        match self.how {
            How::Fails(errno) => write!(f, "{call} {nth} of the {process}: {}", name(errno)),
            How::Denied(errno) => write!(f, "{call} from {nth} of the {process} on: {}", name(errno)),
            How::FailsAfter(errno) => write!(f, "{call} {nth} of the {process}, made: {}", name(errno)),
            How::Short(length) => write!(f, "{call} {nth} of the {process}: {length} bytes"),
        }
    }
}

/// As the manual has it.
pub fn name(errno: Errno) -> String {
    if errno == Errno::ACCESS {
        return "EACCES".into();
    }
    NAMES
        .iter()
        .find(|(known, _)| *known == errno)
        .map_or_else(|| format!("error {}", errno.raw_os_error()), |(_, name)| (*name).into())
}

macro_rules! names {
    ($($name:ident)+) => { &[$((Errno::$name, concat!("E", stringify!($name)))),+] };
}

const NAMES: &[(Errno, &str)] = names! {
    AFNOSUPPORT AGAIN BADF BUSY CANCELED CHILD CONNREFUSED CONNRESET DQUOT EXIST FBIG INTR INVAL IO ISDIR LIBBAD LOOP MFILE MSGSIZE
    NAMETOOLONG NFILE NOBUFS NODEV NOENT NOEXEC NOLCK NOMEM NOSPC NOSYS NOTDIR NOTSOCK NOTTY NXIO OPNOTSUPP OVERFLOW PERM PIPE PROTO
    PROTONOSUPPORT PROTOTYPE ROFS SRCH STALE TIMEDOUT TOOMANYREFS TXTBSY USERS
};

/// More of one call in one process are alike: of a loop the first and the last are tried.
const ALIKE: usize = 8;

/// Everything that can go wrong at these places, which are those of one run.
///
/// # Errors
///
/// A call that the table of errnos does not have.
pub fn all(places: &[Place], every: bool) -> Result<Vec<Fault>, String> {
    let mut faults = Vec::new();
    for (at, place) in places.iter().enumerate() {
        if errnos::SURE.contains(&place.call.as_str()) || !(every || is_tried(places, at)) {
            continue;
        }
        let errnos = errnos::of(&place.call).ok_or_else(|| format!("no errnos are known of {}", place.call))?;
        let mut add = |how| faults.push(Fault { place: place.clone(), how });
        for errno in errnos {
            add(if place.call == "close" { How::FailsAfter(errno) } else { How::Fails(errno) });
        }
        if place.call != "close" && places.iter().position(|other| other.call == place.call) == Some(at) {
            for errno in errnos::DENIALS {
                add(How::Denied(errno));
            }
        }
        if errnos::may_be_short(&place.call) && place.length > 1 {
            add(How::Short(1));
            if place.length > 3 {
                add(How::Short(place.length / 2));
            }
        }
    }
    Ok(faults)
}

/// Of many in a row, or many altogether, those at the ends.
fn is_tried(places: &[Place], at: usize) -> bool {
    let place = &places[at];
    let like = |other: &&Place| other.role == place.role && other.call == place.call;
    let of_this: Vec<_> = places.iter().filter(|other| other.role == place.role).collect();
    let there = of_this.iter().position(|other| *other == place).expect("it is one of them");
    let same = |other: Option<&&Place>| other.is_some_and(like);
    let inside_a_row = there > 0 && same(of_this.get(there - 1)) && same(of_this.get(there + 1));
    let row_is_long = inside_a_row && (there > 1 && same(of_this.get(there - 2)) || same(of_this.get(there + 2)));
    let many = places.iter().filter(like).count();
    !row_is_long && (place.nth < ALIKE || place.nth + 2 >= many)
}
