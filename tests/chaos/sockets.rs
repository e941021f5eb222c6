//! What the kernel knows of TCP connections.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Bytes that wait to be read, of the connection to this address where the most wait.
pub fn unread(peer: SocketAddr) -> u64 {
    most_unread(&fs::read_to_string("/proc/self/net/tcp").unwrap_or_default(), peer)
}

fn most_unread(table: &str, peer: SocketAddr) -> u64 {
    let of_line = |line: &str| {
        let mut columns = line.split_whitespace().skip(2);
        let (remote, _state, queues) = (columns.next()?, columns.next()?, columns.next()?);
        let (address, port) = remote.split_once(':')?;
        // The kernel prints the four bytes as one number of this machine.
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
        let port = u16::from_str_radix(port, 16).ok()?;
        let unread = u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
        (peer == SocketAddr::new(IpAddr::V4(address), port)).then_some(unread)
    };
    table.lines().skip(1).filter_map(of_line).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn unread_bytes_are_found_by_their_peer() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
                     0: 0100007F:0016 0207800A:1F90 01 00000000:00001000 00:00000000 00000000     0\n   \
                     1: 0100007F:0017 0207800A:1F90 01 00000000:00000002 00:00000000 00000000     0\n   \
                     2: 0207800A:1F90 0100007F:0016 01 00FFFFFF:00FFFFFF 00:00000000 00000000     0\n";
        assert_eq!(most_unread(table, "10.128.7.2:8080".parse().expect("an address")), 4096);
    }
}
