//! Why the address of a database cannot be used, and what to do.

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPostgresAddress {
    /// It is not of the form of PostgreSQL's addresses.
    #[error(
        "this is not an address of a PostgreSQL database: {0}; it should look like \
         postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=FILE"
    )]
    Form(String),
    /// `sslmode` is not one that we know.
    #[error("sslmode={0} is not known: use disable, prefer, require, verify-ca or verify-full")]
    SslMode(String),
    /// The certificates to verify the database by cannot be used.
    #[error(
        "sslrootcert={0}: {1}; it must be a PEM file of the authority that signed the database's certificate"
    )]
    RootCertificate(String, String),
    /// A certificate is to be verified, and by nothing.
    #[error(
        "sslmode={0} needs sslrootcert=FILE: the certificate of the authority that signed the database's"
    )]
    NoRootCertificate(String),
}
