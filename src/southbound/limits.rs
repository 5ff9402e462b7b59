//! How many files the process may have open: every connection is one.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and gives the limit that now holds; `None` is no limit.
///
/// Containers start with soft limits as low as 1024, which a thousand devices reach.
///
/// # Errors
/// When the operating system refuses; the old limit holds then.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let lower = Rlimit {
            current: Some(hard.map_or(1 << 16, |hard| hard - 1)),
            maximum: hard,
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        assert_eq!(raise_open_files().unwrap(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
