//! Which cryptography TLS uses. Owns the process-wide choice, and nothing of certificates.

/// Makes ring the provider of every TLS client of this process that does not name its own.
/// Calling it again changes nothing; a provider that was installed earlier stays.
pub fn install_tls_provider() {
    // An error only says that there is a provider already, which is all that is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
