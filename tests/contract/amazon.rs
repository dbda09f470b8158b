//! AWS by its own names: no endpoint is configured anywhere, so that the program finds host names, certificates
//! and credentials as AWS tools do. What it then asks goes through a proxy, as in many companies, that leads to a
//! TLS server of these tests under Amazon's names: its S3 is SeaweedFS, the services that give credentials are made
//! up.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::proxy::{ask, read_request};
use super::server::{self, SECRET_KEY, Weed};
use crate::command::{done, error};
use crate::small_chain::{root, workspace};
use crate::tools;

const REGION: &str = "eu-central-1";

/// Answers a request to a host: its head and its body.
type Answer = dyn Fn(&str, &str, &[u8]) -> Vec<u8> + Send + Sync;

/// A proxy behind which every host is this one.
struct Amazon {
    proxy: String,
    ca: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Amazon {
    fn start(
        folder: &Path,
        answer: impl Fn(&str, &str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(tls(folder));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, kept, answer) =
                    (Arc::clone(&config), Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || drop(tunnel(client, config, &kept, &*answer)));
            }
        });
        Self { proxy, ca: folder.join("ca.pem"), asked }
    }

    /// The hosts that were asked since the last call.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked.dedup();
        asked
    }

    /// The program in a folder, with nothing of AWS but this.
    fn run(&self, folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_affidavit"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(folder)
            .env("HOME", folder)
            .env("HTTPS_PROXY", &self.proxy)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env("AWS_CA_BUNDLE", &self.ca)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }
}

/// An authority of our own, and a certificate of it for every name that is asked for here.
fn tls(folder: &Path) -> ServerConfig {
    let openssl = |arguments: &[&str]| {
        done(&tools::OPENSSL.command().args(arguments).current_dir(folder).output().unwrap());
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"];
    let authority =
        ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority of a test"];
    openssl(&[&authority[..], &key[..]].concat());
    let request =
        ["req", "-keyout", "amazon.key", "-out", "amazon.csr", "-subj", "/CN=amazonaws.com"];
    openssl(&[&request[..], &key[..5]].concat());
    let names = [
        "*.amazonaws.com",
        "*.eu-central-1.amazonaws.com",
        "*.s3.eu-central-1.amazonaws.com",
        "*.s3-fips.dualstack.eu-central-1.amazonaws.com",
        "*.s3-accesspoint.eu-central-1.amazonaws.com",
        "*.sso.eu-central-1.amazonaws.com",
    ];
    let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    fs::write(folder.join("names"), format!("subjectAltName={}\n", names.join(","))).unwrap();
    let sign = [
        "x509",
        "-req",
        "-in",
        "amazon.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
    ];
    openssl(&[&sign[..], &["-days", "3650", "-extfile", "names", "-out", "amazon.pem"]].concat());
    let certificate = CertificateDer::from_pem_file(folder.join("amazon.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("amazon.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// One tunnel, and one request in it.
fn tunnel(
    mut client: TcpStream,
    config: Arc<ServerConfig>,
    asked: &Mutex<Vec<String>>,
    answer: &Answer,
) -> std::io::Result<()> {
    let (head, _) = read_request(&mut client)?;
    let host = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(':').next());
    let host = host.unwrap_or_else(|| panic!("not for a proxy: {head}")).to_owned();
    asked.lock().unwrap().push(host.clone());
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, client);
    let (head, body) = read_request(&mut stream)?;
    stream.write_all(&answer(&host, &head, &body))?;
    stream.conn.send_close_notify();
    stream.flush()?;
    // Until the client has read it all.
    drop(stream.read(&mut [0]));
    Ok(())
}

fn reply(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// STS, IAM Identity Center and S3, by the host that is asked.
fn answer(weed: &str, host: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let weed = weed.trim_start_matches("http://");
    let fields = format!(
        "<AccessKeyId>writer</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
         <SessionToken></SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration>"
    );
    if host.starts_with("sts.") {
        let form = String::from_utf8_lossy(body);
        let action = if form.contains("Action=AssumeRoleWithWebIdentity") {
            assert!(form.contains("WebIdentityToken=token-of-the-pod"), "{form}");
            "AssumeRoleWithWebIdentity"
        } else {
            assert!(form.contains("Action=AssumeRole&"), "{form}");
            "AssumeRole"
        };
        return reply(
            "text/xml",
            &format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
                 <Credentials>{fields}</Credentials></{action}Result></{action}Response>"
            ),
        );
    }
    if host.starts_with("portal.sso.") {
        assert!(
            head.to_ascii_lowercase().contains("x-amz-sso_bearer_token: token-of-a-person"),
            "{head}"
        );
        let credentials = serde_json::json!({ "roleCredentials": { "accessKeyId": "writer",
            "secretAccessKey": SECRET_KEY, "sessionToken": "", "expiration": 2_082_758_400_000_u64 } });
        return reply("application/json", &credentials.to_string());
    }
    if host.contains("accesspoint") || host.contains("fips") {
        let refused = "<Error><Code>AccessDenied</Code><Message>not here</Message></Error>";
        let length = refused.len();
        return format!(
            "HTTP/1.1 403 -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{refused}"
        )
        .into();
    }
    ask(weed, head, body).unwrap_or_default()
}

/// Metadata of an instance (IMDSv2): a token first, and everything else by it.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok((head, _)) = read_request(&mut stream) else { continue };
            let has_token =
                head.to_ascii_lowercase().contains("x-aws-ec2-metadata-token: of-the-instance");
            let path = head.split(' ').nth(1).unwrap_or_default();
            let roles = "/latest/meta-data/iam/security-credentials";
            let body = match path {
                "/latest/api/token" => "of-the-instance".to_owned(),
                "/latest/meta-data/placement/region" if has_token => REGION.to_owned(),
                _ if has_token && path.trim_end_matches('/').ends_with("security-credentials") => "evidence".to_owned(),
                _ if has_token && path.starts_with(roles) => serde_json::json!({ "Code": "Success",
                    "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": "writer",
                    "SecretAccessKey": SECRET_KEY, "Token": "", "Expiration": "2036-01-01T00:00:00Z" })
                .to_string(),
                _ => {
                    drop(stream.write_all(b"HTTP/1.1 404 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
                    continue;
                }
            };
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n";
            drop(
                stream
                    .write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()),
            );
        }
    });
    endpoint
}

#[apply(test)]
fn aws_is_reached_as_its_own_tools_reach_it() {
    tools::OPENSSL.demand();
    let weed = Weed::start();
    super::s3::make_buckets(&weed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let endpoint = weed.endpoint.clone();
    let amazon = Amazon::start(folder, move |host, head, body| answer(&endpoint, host, head, body));
    let config = workspace(folder);
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "{ uri: archive }",
        "{ uri: 's3://plain/amazon', region: eu-central-1, patience: 5s }",
    );
    fs::write(&config, text).unwrap();
    let host = format!("plain.s3.{REGION}.amazonaws.com");
    let keys = [("AWS_ACCESS_KEY_ID", "writer"), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];

    // Whatever a run does, by default names and the environment's keys.
    let told = done(&amazon.run(folder, &keys, &["doctor", "--now", "2026-11-20T02:00:00Z"]));
    assert!(
        told.contains(&format!("s3://plain/amazon (AWS S3 in {REGION}, checksums sha256)")),
        "{told}"
    );
    done(&amazon.run(folder, &keys, &["run", "--now", "2026-11-20T02:00:00Z"]));
    assert_eq!(amazon.asked(), std::slice::from_ref(&host));

    let root = root().to_string();
    let verify = ["verify", "s3://plain/amazon", "--root", &root, "--now", "2026-11-20T03:00:00Z"];
    let in_region = [&verify[..], &["--region", REGION]].concat();
    let verified = |environment: &[(&str, &str)], arguments: &[&str]| {
        let told = done(&amazon.run(folder, environment, arguments));
        assert!(told.contains("VERIFIED"), "{told}");
        let asked = amazon.asked();
        assert!(asked.contains(&host), "{asked:?}");
        asked
    };
    verified(&keys, &in_region);
    verified(&[&keys[..], &[("AWS_REGION", REGION)]].concat(), &verify);
    verified(&[&keys[..], &[("AWS_DEFAULT_REGION", REGION)]].concat(), &verify);
    // The endpoint that the environment names, and one that AWS's variants do not apply to.
    let named = [("AWS_ENDPOINT_URL_S3", weed.endpoint.as_str())];
    let path_style = [&verify[..], &["--path-style"]].concat();
    done(&amazon.run(folder, &[&keys[..], &named].concat(), &path_style));
    let fips = [("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "true")];
    let at_weed = [&path_style[..], &["--endpoint", &weed.endpoint]].concat();
    done(&amazon.run(folder, &[&keys[..], &fips].concat(), &at_weed));
    assert_eq!(amazon.asked(), [""; 0]);

    // Variants of the name.
    for (uri, environment, asked) in [
        ("s3://plain/amazon", &fips[..], format!("plain.s3-fips.dualstack.{REGION}.amazonaws.com")),
        (
            "s3://arn:aws:s3:eu-central-1:111122223333:accesspoint/evidence/amazon",
            &[],
            format!("evidence-111122223333.s3-accesspoint.{REGION}.amazonaws.com"),
        ),
    ] {
        let arguments = ["verify", uri, "--root", &root, "--region", REGION];
        let output = amazon.run(folder, &[&keys[..], environment].concat(), &arguments);
        let told = error(&output, 3);
        assert!(
            told.contains("AccessDenied: not here") && told.contains("help: allow these"),
            "{told}"
        );
        assert_eq!(amazon.asked(), [asked]);
    }

    credentials_come_from_each_place(folder, &verified, &in_region, &verify);
    what_is_wrong_is_named(folder, &amazon, &in_region);
}

/// Verifies with an environment and arguments, and gives the hosts that were asked.
type Verified<'a> = dyn Fn(&[(&str, &str)], &[&str]) -> Vec<String> + 'a;

fn credentials_come_from_each_place(
    folder: &Path,
    verified: &Verified<'_>,
    in_region: &[&str],
    verify: &[&str],
) {
    let aws = folder.join(".aws");
    fs::create_dir_all(aws.join("sso/cache")).unwrap();
    fs::write(
        aws.join("credentials"),
        format!("[static]\naws_access_key_id = writer\naws_secret_access_key = {SECRET_KEY}\n"),
    )
    .unwrap();
    let process =
        serde_json::json!({ "Version": 1, "AccessKeyId": "writer", "SecretAccessKey": SECRET_KEY });
    fs::write(folder.join("process.json"), process.to_string()).unwrap();
    fs::write(
        aws.join("config"),
        format!(
            "[profile static]\nregion = {REGION}\n\
             [profile process]\nregion = {REGION}\ncredential_process = cat {folder}/process.json\n\
             [profile broken]\nregion = {REGION}\ncredential_process = echo printed-secret; echo other-secret >&2; false\n\
             [profile person]\nregion = {REGION}\nsso_session = company\nsso_account_id = 111122223333\n\
             sso_role_name = evidence\n\
             [sso-session company]\nsso_region = {REGION}\nsso_start_url = https://company.awsapps.com/start\n\
             sso_registration_scopes = sso:account:access\n\
             [profile role]\nregion = {REGION}\nrole_arn = arn:aws:iam::111122223333:role/evidence\n\
             source_profile = first\n\
             [profile first]\nrole_arn = arn:aws:iam::111122223333:role/first\nsource_profile = static\n",
            folder = folder.display(),
        ),
    )
    .unwrap();
    // As `aws sso login` leaves it; the name is SHA-1 over the session's.
    let token = serde_json::json!({ "startUrl": "https://company.awsapps.com/start", "region": REGION,
        "accessToken": "token-of-a-person", "expiresAt": "2036-01-01T00:00:00Z" });
    let sha1 = tools::OPENSSL
        .command()
        .args(["dgst", "-sha1", "-r"])
        .stdin(input(folder, "company"))
        .output();
    let sha1 = done(&sha1.unwrap());
    let name = sha1.split_whitespace().next().unwrap();
    fs::write(aws.join(format!("sso/cache/{name}.json")), token.to_string()).unwrap();

    let profile = |name| [("AWS_PROFILE", name)];
    verified(&profile("static"), verify);
    verified(&profile("process"), verify);
    let asked = verified(&profile("person"), verify);
    assert!(asked.contains(&format!("portal.sso.{REGION}.amazonaws.com")), "{asked:?}");
    let asked = verified(&profile("role"), verify);
    assert!(asked.contains(&format!("sts.{REGION}.amazonaws.com")), "{asked:?}");

    fs::write(folder.join("token"), "token-of-the-pod").unwrap();
    let token = folder.join("token");
    let token = token.to_str().unwrap();
    let identity = [
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/evidence"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
    ];
    let asked = verified(&identity, in_region);
    assert!(asked.contains(&format!("sts.{REGION}.amazonaws.com")), "{asked:?}");
    let (service, _) = server::credentials("writer");
    let full = format!("{service}/v1/credentials");
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token),
        // Never asked: it is on this machine.
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ];
    verified(&pod, in_region);
    let metadata = metadata();
    let instance = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ];
    // The instance also knows the region.
    verified(&instance, verify);
}

fn input(folder: &Path, text: &str) -> fs::File {
    let path = folder.join("input");
    fs::write(&path, text).unwrap();
    fs::File::open(path).unwrap()
}

fn what_is_wrong_is_named(folder: &Path, amazon: &Amazon, in_region: &[&str]) {
    let nowhere = folder.join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let not_pem = folder.join("names");
    let not_pem = not_pem.to_str().unwrap();
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/evidence");
    // A token that must not be printed, whatever fails.
    let token = folder.join("canary-token");
    fs::write(&token, "CANARY-TOKEN").unwrap();
    let token = token.to_str().unwrap();
    let web = [role, ("AWS_WEB_IDENTITY_TOKEN_FILE", token)];
    let key = ("AWS_ACCESS_KEY_ID", "writer");
    // What was set wrongly is 2; what the world did, 3.
    for (environment, code, said) in [
        (&[("AWS_PROFILE", "nobody")][..], 2, "AWS_PROFILE names the profile `nobody`"),
        (&[("AWS_PROFILE", "broken")], 3, "exited with code exit status: 1"),
        (&[role, ("AWS_WEB_IDENTITY_TOKEN_FILE", nowhere)], 3, "AWS_WEB_IDENTITY_TOKEN_FILE="),
        (&[("AWS_CA_BUNDLE", nowhere)], 2, "(set by AWS_CA_BUNDLE): No such file"),
        (&[("AWS_CA_BUNDLE", not_pem)], 2, "no PEM certificate is in it"),
        (&[], 3, "give credentials as AWS tools take them"),
        (&[("AWS_ENDPOINT_URL_S3", "minio:9000")], 2, "endpoint `minio:9000`: not an http"),
        (&[("AWS_ENDPOINT_URL_S3", "u:CANARY-TOKEN@minio:1")], 2, "not an http"),
        (&[web[0], web[1], ("AWS_ENDPOINT_URL_STS", "localhost:1")], 2, "AWS_ENDPOINT_URL_STS: "),
        (&[web[0], web[1], ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")], 3, ""),
        (
            &[("AWS_ACCESS_KEY_ID", "writer\n"), ("AWS_SECRET_ACCESS_KEY", "x")],
            2,
            "AWS_ACCESS_KEY_ID: ",
        ),
        (&[key, ("AWS_SECRET_ACCESS_KEY", "x\n")], 2, "AWS_SECRET_ACCESS_KEY: "),
        (&[("AWS_SESSION_TOKEN", "a\u{e9}")], 2, "AWS_SESSION_TOKEN: "),
        (&[("AWS_REGION", "eu-central-1\n")], 2, "AWS_REGION: "),
    ] {
        let output = amazon.run(folder, environment, in_region);
        let told = error(&output, code);
        assert!(told.contains(said), "{environment:?}: {told}");
        for not_said in ["panicked", "printed-secret", "other-secret", "CANARY-TOKEN"] {
            assert!(!told.contains(not_said), "{environment:?}: {told}");
        }
        assert!(told.contains("help: "), "{told}");
    }
    // The same for a key in KMS, before anything is sealed.
    let config = fs::read_to_string(folder.join("affidavit.yaml")).unwrap();
    let kms = config.replace("keys/log.pem", "'awskms:///alias/log?region=eu-central-1'");
    fs::write(folder.join("kms.yaml"), kms).unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", "writer"), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    amazon.asked();
    let output = amazon.run(
        folder,
        &keys,
        &["run", "--config", "kms.yaml", "--now", "2026-11-21T02:00:00Z"],
    );
    assert_ne!(output.status.code(), Some(101), "{output:?}");
    assert!(amazon.asked().contains(&format!("kms.{REGION}.amazonaws.com")));
}
