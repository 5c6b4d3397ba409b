//! The rows of the table that are the proxy's: the hundred 06. They stand between the rows before and after them.

macro_rules! with_proxy_codes {
    ({ $($before:tt)* } { $($after:tt)* }) => {
        codes! {
            $($before)*

    // 060x to 062x what the proxy listens on and whom it asks
    ProxyConfig = 600 "proxy.config-unusable" rank 60
        "the configuration of the proxy cannot be used";
        "The file is read strictly: an unknown field, a contradiction or a file that it names and that cannot be used refuses the whole of it, so that a typo cannot open what should be closed.";
        "fix the line that is named, then run trustctl proxy check"
    ProxyNamespace = 601 "proxy.namespace-not-served" rank 60
        "the proxy does not serve this registry";
        "A mirror is told by ns= which registry is meant. Only those that its configuration names are asked, so that nobody can have it talk to other servers.";
        "ask the operator of the proxy to add the registry, or pull from one that it serves"
    ProxyNoUpstream = 602 "proxy.no-upstream" rank 58
        "no upstream of the proxy serves this name";
        "The name begins with none of the configured prefixes, the host name is none of the configured ones, and there is no default upstream.";
        "write the registry in front of the name, as in PROXY/docker.io/library/alpine"
    ProxyPlain = 603 "proxy.plain-http" rank 12
        "the proxy speaks plain HTTP where others can listen or interfere";
        "Without TLS anybody on the path can replace what the proxy has verified, and read credentials. The configuration allows it by plain = true.";
        "give the listener a certificate and key; name the upstream's endpoint by https"
    ProxySecret = 604 "proxy.secret-missing" rank 60
        "the password of an upstream cannot be read";
        "The configuration names a file or a variable of the environment, and nothing usable is there. What is in it is never shown.";
        "check that the file is there and readable for the proxy, or that the variable is set where the proxy runs"
    ProxyListen = 605 "proxy.cannot-listen" rank 60
        "the proxy cannot listen on an address";
        "Another program listens there, the address is not of this machine, or the port needs a privilege. The operating system's words are quoted.";
        "stop the other program, or name another address in [[listen]]"
    ProxyCertificate = 606 "proxy.certificate-unusable" rank 60
        "the certificate, key or client authority of a listener cannot be used";
        "A file is not readable, holds no PEM of the expected kind, or key and certificate do not belong together. Nothing is served without TLS where TLS was asked for.";
        "check the files that are named in [[listen]] or [admin]"
    ProxyCertificateKept = 607 "proxy.certificate-kept" rank 14
        "new certificate files cannot be used, and the old ones stay in force";
        "The files changed while the proxy ran. What is in them now is unusable, so clients are still served with what was read before.";
        "write the files again: the key first, then the certificate; they are looked at every second"
    ProxyStoreAside = 610 "proxy.store-set-aside" rank 20
        "the proxy's store was damaged, and a new one was begun";
        "What was learnt about images is gathered again as they are asked for; nothing is served for what was in the damaged file, which lies beside the new one. Until then, nothing is known that could be served while a registry cannot be asked.";
        "look at the disk, and keep the file that is named for a report, or remove it"

    ProxyAuditOnly = 615 "proxy.audit-only" rank 12
        "the rule only records: the image would be refused";
        "Until its end date a rule with mode = \"audit\" lets images through. The proxy tells its audit log, metrics and status page what it would have refused, and the client nothing; other commands say it.";
        "have the image signed before the mode ends"

    // 063x the proxy's cache
    CacheUnusable = 630 "proxy.cache-unusable" rank 60
        "the cache's folder cannot be used";
        "It cannot be created, written or locked, or another proxy is using it. One folder belongs to one proxy at a time.";
        "check the folder's owner and permissions, or give this proxy a folder of its own"
    CacheFull = 631 "proxy.cache-full" rank 72
        "there is no room left for what is to be cached";
        "The disk is full, or all of the cache's size is taken by transfers that are going on. Nothing was served that was not checked.";
        "make room on the disk or allow the cache more; what is fetched now can be asked for again later"
    BlobTooLarge = 632 "proxy.blob-too-large" rank 71
        "a blob is larger than the whole cache may be";
        "What is served is checked first, and has to lie somewhere until it is.";
        "allow the cache a larger size"
    CacheFailed = 633 "proxy.cache-failed" rank 72
        "reading or writing the cache failed";
        "The file system reported an error, or a transfer was given up. Nothing was served that was not checked.";
        "look at the file system of the cache's folder, then ask again"


    // 064x the proxy's store and its audit log
    StoreUnusable = 640 "proxy.store-unusable" rank 60
        "the proxy's store cannot be used";
        "The file is damaged, of another version, not writable, or in use by another proxy. It is never replaced silently: a proxy that starts sets a damaged one aside and says so.";
        "start the proxy that belongs to it alone; a file of another version holds only what can be gathered again, so move it away"
    StoreFailed = 641 "proxy.store-failed" rank 72
        "reading or writing the proxy's store failed";
        "The file system reported an error, or an entry cannot be read. What is not known is gathered again, and never assumed.";
        "look at the file system the store is on; if an entry cannot be read, move the file away and start the proxy anew"
    AuditUnusable = 645 "proxy.audit-unusable" rank 60
        "the audit log cannot be used";
        "It cannot be opened or written, another proxy is using it, its last line is not a record, or there is no line that could be verified.";
        "check the file's owner and permissions; keep a log that was altered, and name another file"
    AuditBroken = 646 "proxy.audit-broken" rank 80
        "the audit log has been altered";
        "Each record carries the hash of the one before it. Here a line is missing, also in front, was added, changed or moved, or is not a record.";
        "compare the log with what was copied elsewhere, and look for who could write to it"
    AuditFailed = 647 "proxy.audit-failed" rank 74
        "writing the audit log failed";
        "A decision could not be recorded. How many are missing is recorded as soon as writing works again. Verified, the log ends with half a line: it is being written, or was when the proxy was killed.";
        "make room on the disk the audit log is on, and check its permissions"

    // 065x to 067x what the proxy decides
    ProxyUnreached = 650 "proxy.unreached" rank 65
        "nothing that is trusted here names this digest";
        "A layer, a configuration or another part is served when an image of the same repository names it that was found to be trusted. None did, or what is announced as a signature is none.";
        "pull the image by its name: trustctl proxy check tells how it is judged"
    ProxyStale = 651 "proxy.stale" rank 15
        "it is served by what was known before the registry could no longer be asked";
        "It was trusted when it was checked last. Whether it was revoked since is not known; the proxy stops serving it after max-stale.";
        "look at the connection to the registry and to the Notary server"
    ProxyBreakGlass = 652 "proxy.break-glass" rank 90
        "an operator's token lets this image pass although the policy refuses it";
        "A break-glass token names one repository and digest, a reason and an end within a day. Each use is in the audit log.";
        "have the image signed before the token ends"
    ProxyPolicy = 653 "proxy.policy-changed" rank 10
        "the proxy judges by another policy than before";
        "The policy, a key or a trusted root was changed. Everything is judged anew as it is asked for.";
        "nothing needs to be done"
    ProxyToken = 654 "proxy.token-unusable" rank 55
        "a file among the break-glass tokens does not count";
        "It is no token, no key that the configuration names has signed it, or it is over. It lets nothing pass.";
        "make it anew with trustctl proxy break-glass, or remove it"
    ProxyCanary = 655 "proxy.canary" rank 66
        "this image is a canary, which the proxy refuses to everybody";
        "The registry has it, no policy and no token lets it pass, and so whoever gets it has gone round the proxy. trustctl proxy doctor pulls it to find that out.";
        "pull another image; to see whether a client is held to the proxy, run trustctl proxy doctor"
    ProxyCanaryLost = 656 "proxy.canary-lost" rank 66
        "this image is a canary, and it is not known whether its registry has it";
        "The proxy refuses it all the same. What the registry does not have nobody gets from it, so that a failed pull says nothing about the way that a client takes.";
        "push any image under that name, or name another repository as canary of the upstream"
    ProxyBypassed = 657 "proxy.bypassed" rank 85
        "an image arrived that the proxy refuses";
        "The client did not get it from the proxy: it asked the registry itself, first or after the refusal. Images that the policy refuses arrive in the same way.";
        "set the client up by trustctl proxy client-config, and block its way to the registries"
    ProxyUntold = 658 "proxy.untold" rank 70
        "it cannot be told whether the client is held to the proxy";
        "The image did not arrive, and no refusal of the proxy was the reason, of one pull at least; or the proxy could not be asked, or gives the image itself, so that its arrival says nothing.";
        "mend what is named, then run the doctor again with the canary, or with an image that the policy refuses"
    ProxyTrustEnds = 659 "proxy.trust-ends" rank 13
        "something that trust rests on ends soon, or has ended";
        "A fetched trusted root, an entry of the policy that allows an image, or the mode of a rule that does not refuse yet. What ends is refused from then on, or cannot be decided.";
        "run trustctl anchor update for a trusted root; renew or remove the entry of the policy"

    // 068x clients of the proxy, and engines that ask themselves
    ContainerdInput = 680 "containerd.bad-input" rank 60
        "what containerd hands over cannot be read";
        "A verifier in bin_dir gets the flags -name, -digest and -stdin-media-type and a JSON document on standard input. This is none of the two documents that are known, is too long, or is no JSON.";
        "update trustctl if containerd is newer; to try it by hand, pass a descriptor with the digest on standard input"
    ContainerdDigest = 681 "containerd.other-digest" rank 85
        "containerd names one image and describes another";
        "The digest in the arguments, the one in the name and the one on standard input must be the same: only then is it certain what will run.";
        "pull the image anew; if it happens again, look for a program that stands between containerd and this one"
    ClientNotEnforced = 682 "proxy.client-not-enforced" rank 16
        "no setting keeps this client from going round the proxy";
        "The client takes any refusal of a mirror as a cause to ask the registry itself, or can be told otherwise by whoever starts a build. Its configuration alone enforces nothing.";
        "let the host reach the proxy and no registry: block the way out, and pull by the proxy's name"

            $($after)*
        }
    };
}
