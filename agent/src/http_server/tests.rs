//! Asked over a real socket, by a client that is not ours.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::redirect::Policy;

use super::*;

fn client() -> reqwest::Client {
    // Another test may have chosen the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client")
}

fn serve(served: Served) -> (HttpServer, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (HttpServer::start(listener, served).expect("a server"), url)
}

fn directory() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("user-data"), "#cloud-config\n").expect("a file");
    std::fs::create_dir_all(root.path().join("site/sub dir")).expect("a directory");
    std::fs::write(root.path().join("site/index.html"), "<html>here").expect("a file");
    std::fs::write(root.path().join("site/sub dir/a&b"), "x").expect("a file");
    std::os::unix::fs::symlink(root.path().join("user-data"), root.path().join("link")).expect("a link");
    root
}

#[tokio::test]
async fn a_directory_is_served_with_the_manners_of_a_file_server() {
    let root = directory();
    let (server, url) = serve(Served::Directory(root.path().to_owned()));
    let cases = [
        ("/user-data", 200, "#cloud-config\n", ""),
        ("/link", 200, "#cloud-config\n", ""),
        ("/../user-data?instance=1", 200, "#cloud-config\n", ""),
        ("/user-data/", 301, "", "../user-data"),
        ("/site", 301, "", "site/"),
        ("/site?x=1", 301, "", "site/?x=1"),
        ("/site/", 200, "<html>here", ""),
        ("/site/index.html", 301, "", "./"),
        ("/site/sub%20dir/", 200, "<pre>\n<a href=\"a&b\">a&amp;b</a>\n</pre>\n", ""),
        ("/missing", 404, "404 page not found\n", ""),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "404 page not found\n", ""),
        ("/%00", 400, "malformed path\n", ""),
    ];
    for (path, status, body, location) in cases {
        let reply = client().get(format!("{url}{path}")).send().await.expect(path);
        assert_eq!(reply.status().as_u16(), status, "{path}");
        let to =
            reply.headers().get(LOCATION).map(|l| l.to_str().expect("text").to_owned()).unwrap_or_default();
        assert_eq!(to, location, "{path}");
        let text = reply.text().await.expect(path);
        assert!(body.is_empty() || text == body, "{path}: {text:?}");
    }
    assert_eq!(server.fetches.count(), cases.len());
    assert_eq!(server.fetches.list()[0], Fetch { path: "/user-data".to_owned(), status: 200 });
}

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let root = directory();
    let (_server, url) = serve(Served::Directory(root.path().to_owned()));
    let reply =
        client().get(format!("{url}/user-data")).header(RANGE, "bytes=1-5").send().await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 206);
    assert_eq!(reply.headers()[CONTENT_RANGE], "bytes 1-5/14");
    assert_eq!(reply.text().await.expect("text"), "cloud");
    let reply =
        client().get(format!("{url}/user-data")).header(RANGE, "bytes=99-").send().await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 416);
    let reply = client().head(format!("{url}/user-data")).send().await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 200);
    assert_eq!(reply.headers()[CONTENT_LENGTH], "14");
}

#[tokio::test]
async fn content_is_served_by_its_exact_path() {
    let texts = [("/a/user-data", "hello"), ("/ks.cfg", "install")];
    let texts = texts.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let (_server, url) = serve(Served::Content(texts.into()));
    let reply = client().get(format!("{url}/a/./user-data")).send().await.expect("a reply");
    assert_eq!(reply.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(reply.text().await.expect("text"), "hello");
    let reply = client().get(format!("{url}/ks.cgf")).send().await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 404);
    assert_eq!(reply.text().await.expect("text"), "/ks.cgf not found; did you mean /ks.cfg?\n");
    let reply = client().get(format!("{url}/")).send().await.expect("a reply");
    assert_eq!(reply.status().as_u16(), 404);
}

#[tokio::test]
async fn a_dropped_server_gives_its_port_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::start(listener, Served::Content(BTreeMap::new())).expect("a server");
    drop(server);
    let freed = async {
        while TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), freed).await.expect("the port is free again");
}
