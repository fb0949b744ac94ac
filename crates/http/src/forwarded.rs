//! The client's address as a reverse proxy names it.

use std::net::IpAddr;

use http::HeaderMap;

/// The client's address by the headers of a reverse proxy, if they name one.
pub(crate) fn find_client(headers: &HeaderMap) -> Option<IpAddr> {
    forwarded_for(headers).or_else(|| forwarded(headers))
}

/// `X-Forwarded-For: client, proxy, proxy`: the first address of the first such header, as Synapse takes it. That is the client where
/// the first proxy sets the header anew (nginx: `proxy_set_header X-Forwarded-For $remote_addr`); a proxy that adds to what it was
/// sent lets clients choose their address. The last address would be no better: where there are two proxies, that is the first of
/// them, and all clients would share one limit.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    parse(headers.get("x-forwarded-for")?.to_str().ok()?.split(',').next()?)
}

/// `Forwarded: for="[2001:db8::1]:4711";proto=https, for=...` (RFC 7239)
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let first = headers.get("forwarded")?.to_str().ok()?.split(',').next()?;
    first.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| parse(value))?
    })
}

/// An address, in quotes or brackets or with a port as some proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.parse::<std::net::SocketAddr>().ok()?.ip(),
        },
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &'static str, value: &'static str) -> Option<String> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        find_client(&headers).map(|address| address.to_string())
    }

    #[test]
    fn the_first_header_counts() {
        let mut headers = HeaderMap::new();
        for value in ["1.2.3.4, 10.0.0.1", "5.6.7.8"] {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers.insert("forwarded", "for=9.9.9.9".parse().unwrap());
        assert_eq!(find_client(&headers).unwrap().to_string(), "1.2.3.4");
    }

    #[test]
    fn proxies_name_the_client() {
        for (name, value, expect) in [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.1", Some("1.2.3.4")),
            ("x-forwarded-for", "::ffff:1.2.3.4", Some("1.2.3.4")),
            ("x-forwarded-for", "1.2.3.4:5678", Some("1.2.3.4")),
            ("x-forwarded-for", "unknown", None),
            ("x-forwarded-for", "", None),
            ("forwarded", "for=\"[2001:db8::1]:4711\";proto=https", Some("2001:db8::1")),
            ("forwarded", "proto=https;For=192.0.2.60", Some("192.0.2.60")),
            ("x-other", "1.2.3.4", None),
        ] {
            assert_eq!(client(name, value).as_deref(), expect, "{name}: {value}");
        }
    }
}
