//! Who the patients are: told to whom, deleted and exported for whom, and nowhere else.

use crate::bench::{Bench, Made, hospital, in_time};
use enroute_access::{Role, Scope};
use enroute_model::registry::RegistryAction;
use enroute_wire::v1::delete_identity_request::Whose;
use enroute_wire::v1::identities_client::IdentitiesClient;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::replay_client::ReplayClient;
use enroute_wire::v1::statement::Says;
use enroute_wire::{Message, v1};
use std::path::Path;
use tonic::transport::Channel;
use tonic::{Code, Status};

const NAME: &str = "Quisling-Abernathy";

fn made() -> Made {
    let mut made = Made::default();
    made.add("Dr. Weber", Role::Clinician, Scope::default());
    made.add("Dr. Rochat", Role::Clinician, hospital("HUG"));
    made.add("privacy", Role::Administrator, hospital("HUG"));
    made
}

fn person() -> v1::Person {
    v1::Person {
        family_name: NAME.to_owned(),
        given_name: "Ottoline".to_owned(),
        birth_date: "1958-02-28".to_owned(),
        record_number: "4711".to_owned(),
    }
}

struct Asked<'a> {
    bench: &'a Bench,
    client: IdentitiesClient<Channel>,
}

impl<'a> Asked<'a> {
    async fn of(bench: &'a Bench) -> Self {
        let client = IdentitiesClient::new(bench.channel().await);
        Self { bench, client }
    }

    async fn set(&mut self, transfer: &str, person: Option<v1::Person>, says: &[Says]) {
        let statement = says.iter().map(|says| v1::Statement {
            says: Some(*says),
            remark: "by telephone".to_owned(),
            ..Default::default()
        });
        let asked = v1::SetIdentityRequest {
            transfer: transfer.to_owned(),
            person,
            statement: statement.collect(),
        };
        let set = self.client.set(self.bench.by("Dr. Weber", asked));
        in_time(set).await.unwrap();
    }

    async fn get(&mut self, transfer: &str) -> Result<Option<v1::Identity>, Status> {
        let asked = v1::GetIdentityRequest {
            transfer: transfer.to_owned(),
        };
        let got = self.client.get(self.bench.by("Dr. Weber", asked));
        Ok(in_time(got).await?.into_inner().identity)
    }

    async fn delete(&mut self, actor: &str, whose: Whose) -> v1::DeleteIdentityResponse {
        let asked = v1::DeleteIdentityRequest { whose: Some(whose) };
        let deleted = self.client.delete(self.bench.by(actor, asked));
        in_time(deleted).await.unwrap().into_inner()
    }

    async fn export(&mut self, actor: &str) -> v1::ExportIdentityResponse {
        let asked = v1::ExportIdentityRequest {
            record_number: " 4711".to_owned(),
        };
        let exported = self.client.export(self.bench.by(actor, asked));
        in_time(exported).await.unwrap().into_inner()
    }
}

fn bytes(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() {
            bytes(&path)
        } else {
            std::fs::read(path).unwrap()
        });
    }
    all
}

fn tells(bytes: &[u8]) -> bool {
    bytes.windows(NAME.len()).any(|at| at == NAME.as_bytes())
}

#[tokio::test]
async fn who_it_is_and_on_what_it_rests_is_told_with_who_said_so_and_nowhere_else() {
    let bench = Bench::new(made()).await;
    let mut asked = Asked::of(&bench).await;
    assert!(asked.get("tx-a").await.unwrap().is_none());
    asked.set("tx-a", Some(person()), &[]).await;
    let basis = Says::LegalBasis(v1::LegalBasis::VitalInterests.into());
    let consent = Says::Consent(v1::Consent::Unable.into());
    asked.set("tx-a", None, &[basis, consent]).await;
    let got = asked.get("tx-a").await.unwrap().unwrap();
    assert_eq!(
        (got.person, got.set_by.as_str()),
        (Some(person()), "Dr. Weber")
    );
    assert_eq!(got.set_at_us, crate::bench::START);
    let [one, other] = got.statement.as_slice() else {
        panic!("{} statements", got.statement.len());
    };
    assert_eq!((one.says, other.says), (Some(basis), Some(consent)));
    assert_eq!(
        (one.by.as_str(), one.remark.as_str()),
        ("Dr. Weber", "by telephone")
    );
    assert_eq!(one.at_us, crate::bench::START);
    // The board, and what is stored.
    let mut live = LiveClient::new(bench.channel().await);
    let list = live.list(bench.by("Dr. Weber", v1::ListRequest { closed: true }));
    let list = in_time(list).await.unwrap().into_inner();
    assert!(list.transfer.len() == 3 && !tells(&list.encode_to_vec()));
    assert!(!tells(&bytes(bench.dir.path())));
}

#[tokio::test]
async fn what_is_not_in_order_is_refused_by_its_field_and_changes_nothing() {
    let bench = Bench::new(made()).await;
    let mut asked = Asked::of(&bench).await;
    let mut refused = async |person: Option<v1::Person>, says: Option<Says>| {
        let statement = v1::Statement {
            says,
            ..Default::default()
        };
        let wanted = v1::SetIdentityRequest {
            transfer: "tx-a".to_owned(),
            person,
            statement: says.map(|_| statement).into_iter().collect(),
        };
        let set = asked_set(&mut asked.client, &bench, wanted).await;
        let status = set.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().to_owned()
    };
    assert!(refused(None, None).await.contains("give one of them"));
    for (date, words) in [("28.2.1958", "YYYY-MM-DD"), ("2158-02-28", "future")] {
        let wrong = v1::Person {
            birth_date: date.to_owned(),
            ..person()
        };
        let said = refused(Some(wrong), None).await;
        assert!(said.contains(words) && !said.contains(NAME), "{said}");
    }
    let long = v1::Person {
        family_name: NAME.repeat(20),
        ..person()
    };
    let said = refused(Some(long), None).await;
    assert!(
        said.starts_with("family_name") && !said.contains(NAME),
        "{said}"
    );
    let said = refused(Some(person()), Some(Says::Consent(0))).await;
    assert!(said.contains("of no known kind"), "{said}");
    assert!(asked.get("tx-a").await.unwrap().is_none());
}

async fn asked_set(
    client: &mut IdentitiesClient<Channel>,
    bench: &Bench,
    asked: v1::SetIdentityRequest,
) -> Result<(), Status> {
    in_time(client.set(bench.by("Dr. Weber", asked)))
        .await
        .map(drop)
}

#[tokio::test]
async fn a_person_is_exported_and_deleted_where_the_number_is_the_hospitals() {
    let bench = Bench::new(made()).await;
    let mut asked = Asked::of(&bench).await;
    for transfer in ["tx-a", "tx-b", "tx-n"] {
        asked.set(transfer, Some(person()), &[]).await;
    }
    let all = asked.export("Dr. Weber").await;
    assert_eq!((all.transfer.len(), all.unreadable), (3, 0));
    let own = asked.export("Dr. Rochat").await.transfer;
    let [own] = own.as_slice() else {
        panic!("{} transfers", own.len());
    };
    assert_eq!((own.transfer.as_str(), own.closed), ("tx-a", false));
    assert_eq!(own.info.as_ref().unwrap().hospital, "HUG");
    assert_eq!(own.identity.as_ref().unwrap().person, Some(person()));
    let number = || Whose::RecordNumber("4711".to_owned());
    let deleted = asked.delete("privacy", number()).await;
    assert_eq!(
        (deleted.transfer, deleted.unreadable),
        (vec!["tx-a".to_owned()], 0)
    );
    assert!(asked.get("tx-a").await.unwrap().is_none());
    assert!(asked.get("tx-b").await.unwrap().is_some());
    // The wrong person was on it.
    let deleted = asked
        .delete("Dr. Weber", Whose::Transfer("tx-b".to_owned()))
        .await;
    assert_eq!(deleted.transfer, ["tx-b"]);
    assert_eq!(asked.export("Dr. Weber").await.transfer.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_and_keeps_nobody_from_the_others() {
    let bench = Bench::new(made()).await;
    let mut asked = Asked::of(&bench).await;
    for transfer in ["tx-a", "tx-b"] {
        asked.set(transfer, Some(person()), &[]).await;
    }
    let file = bench.dir.path().join("identity/entries/tx-a.sealed");
    std::fs::write(file, "rubbish").unwrap();
    let damaged = asked.get("tx-a").await.unwrap_err();
    assert_eq!(damaged.code(), Code::DataLoss, "{damaged}");
    assert!(asked.get("tx-b").await.unwrap().is_some());
}

#[tokio::test]
async fn it_goes_with_the_recording_and_with_nothing_else() {
    let mut made = made();
    made.add("root", Role::Administrator, Scope::default());
    let bench = Bench::new(made).await;
    let mut asked = Asked::of(&bench).await;
    for transfer in ["tx-a", "tx-b"] {
        asked.set(transfer, Some(person()), &[]).await;
    }
    let close = bench.live.act("tx-a", RegistryAction::Close, "close", "x");
    in_time(close).await.unwrap();
    assert!(asked.get("tx-a").await.unwrap().is_some());
    let mut replay = ReplayClient::new(bench.channel().await);
    let delete = v1::DeleteRecordingRequest {
        transfer: "tx-a".to_owned(),
        ..Default::default()
    };
    in_time(replay.delete_recording(bench.by("root", delete)))
        .await
        .unwrap();
    let gone = asked.get("tx-a").await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    assert!(
        !bench
            .dir
            .path()
            .join("identity/entries/tx-a.sealed")
            .exists()
    );
    // The other transfer of the same person stands, and so does who was on it.
    assert!(asked.get("tx-b").await.unwrap().is_some());
}

#[tokio::test]
async fn a_joined_transfer_has_one_patient_under_all_its_names() {
    let bench = Bench::new(made()).await;
    let mut asked = Asked::of(&bench).await;
    asked.set("tx-n", Some(person()), &[]).await;
    let into = RegistryAction::JoinInto("tx-a".parse().unwrap());
    in_time(bench.live.act("tx-n", into, "join", "x"))
        .await
        .unwrap();
    let got = asked.get("tx-a").await.unwrap().unwrap();
    assert_eq!(
        (got.transfer.as_str(), got.person),
        ("tx-n", Some(person()))
    );
    let consent = Says::Consent(v1::Consent::Given.into());
    asked.set("tx-n", None, &[consent]).await;
    let got = asked.get("tx-n").await.unwrap().unwrap();
    assert_eq!(
        (got.transfer.as_str(), got.person),
        ("tx-a", Some(person()))
    );
    assert_eq!(asked.export("Dr. Weber").await.transfer.len(), 1);
}

#[tokio::test]
async fn a_server_that_keeps_none_says_what_to_configure() {
    let bench = Bench::knowing_nobody(made()).await;
    let mut asked = Asked::of(&bench).await;
    let refused = asked.get("tx-a").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("[identity]"), "{refused}");
}
