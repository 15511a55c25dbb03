//! Manifests of Kubernetes and the compose file fit together: what one part names, another has. Their schemas are not
//! checked here.

use std::collections::BTreeSet;

use kiln_tests::program::Place;
use serde_json::Value;

use super::{deployed, expect_none, place, yaml};

const FOLDERS: [&str; 4] = ["founding", "coordinators", "agents", "build"];

/// The objects that a folder's kustomization lists, and the names of the ConfigMaps that it makes.
fn objects(place: &Place, folder: &str) -> (Vec<Value>, BTreeSet<String>) {
    let (path, text) = deployed(&format!("kubernetes/{folder}/kustomization.yaml"));
    let kustomization = yaml(place, &text).remove(0);
    let listed = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for resource in listed(&kustomization["resources"]) {
        let (_, manifest) = deployed(&format!("kubernetes/{folder}/{}", text(&resource)));
        all.extend(yaml(place, &manifest));
    }
    let mut maps = BTreeSet::new();
    for map in listed(&kustomization["configMapGenerator"]) {
        for file in listed(&map["files"]) {
            assert!(path.parent().unwrap().join(text(&file)).is_file(), "{folder}: {file}");
        }
        maps.insert(text(&map["name"]));
    }
    (all, maps)
}

fn each(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().cloned().unwrap_or_default()
}

fn named(all: &[Value]) -> BTreeSet<String> {
    all.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect()
}

/// What doesn't fit in a pod.
fn faults_of_pod(pod: &Value, maps: &BTreeSet<String>, claims: &[Value]) -> Vec<String> {
    let volumes: Vec<Value> = each(pod, "volumes");
    let claimed: Vec<Value> = claims.iter().map(|claim| claim["metadata"].clone()).collect();
    let known = &named(&volumes) | &named(&claimed);
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for container in each(pod, "containers").iter().chain(&each(pod, "initContainers")) {
        let mounts = named(&each(container, "volumeMounts"));
        faults.extend(mounts.difference(&known).map(|name| format!("no volume {name}")));
        used.extend(mounts);
        let ports = named(&each(container, "ports"));
        for probe in ["livenessProbe", "readinessProbe"] {
            if let Some(port) = container[probe]["httpGet"]["port"].as_str()
                && !ports.contains(port)
            {
                faults.push(format!("{probe}: no port {port}"));
            }
        }
        if container["image"]
            .as_str()
            .is_none_or(|image| !["kiln-coordinator", "kiln-agent"].contains(&image))
        {
            faults.push(format!("image {}", container["image"]));
        }
    }
    faults.extend(known.difference(&used).map(|name| format!("volume {name} is mounted nowhere")));
    for volume in &volumes {
        if let Some(map) = volume["configMap"]["name"].as_str()
            && !maps.contains(map)
        {
            faults.push(format!("no ConfigMap {map}"));
        }
    }
    faults
}

#[test]
fn what_manifests_name_is_there() {
    let place = place();
    let mut offences = Vec::new();
    let mut kinds = BTreeSet::new();
    for folder in FOLDERS {
        let (all, maps) = objects(&place, folder);
        for object in &all {
            let kind = object["kind"].as_str().unwrap_or("no kind");
            let name = object["metadata"]["name"].as_str().unwrap_or("no name");
            kinds.insert(kind.to_owned());
            let mut faults = Vec::new();
            let spec = &object["spec"];
            if object["apiVersion"].as_str().is_none() || object["metadata"]["namespace"].is_string() {
                faults.push("it has no version, or a namespace of its own".to_owned());
            }
            let labels = &spec["template"]["metadata"]["labels"];
            if let Some(selector) = spec["selector"]["matchLabels"].as_object()
                && labels.is_object()
            {
                let differ = selector.iter().filter(|(name, value)| labels[name.as_str()] != **value);
                faults.extend(differ.map(|(name, _)| format!("its pods lack the label {name}")));
            }
            let pod = &spec["template"]["spec"];
            if pod.is_object() {
                faults.extend(faults_of_pod(pod, &maps, &each(spec, "volumeClaimTemplates")));
            }
            offences.extend(faults.into_iter().map(|fault| format!("{folder}: {kind} {name}: {fault}")));
        }
    }
    for kind in ["StatefulSet", "DaemonSet", "Job", "Service", "PodDisruptionBudget", "NetworkPolicy"] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    expect_none("manifests that don't fit together", &offences);
}

#[test]
fn coordinators_find_each_other_before_they_are_ready() {
    let (all, _) = objects(&place(), "coordinators");
    let find = |kind: &str, name: &str| {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        all.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}")).clone()
    };
    let set = find("StatefulSet", "kiln-coordinator");
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel", "none is ready before a majority is there");
    let names = find("Service", "kiln-coordinator");
    assert_eq!(names["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(set["spec"]["serviceName"], names["metadata"]["name"]);
    assert_eq!(names["spec"]["selector"], set["spec"]["selector"]["matchLabels"]);
    let (_, settings) = deployed("kubernetes/coordinators/coordinator.hcl");
    for number in 0..3 {
        assert!(settings.contains(&format!("https://kiln-coordinator-{number}.kiln-coordinator:7447")));
    }
}

#[test]
fn the_compose_file_fits_together() {
    let place = place();
    let (_, text) = deployed("container/compose.yaml");
    let compose = yaml(&place, &text).remove(0);
    let (_, containerfile) = deployed("container/Containerfile");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let (services, volumes, configs) =
        (names(&compose["services"]), names(&compose["volumes"]), names(&compose["configs"]));
    for needed in ["store", "c1", "c2", "c3", "agent"] {
        assert!(services.contains(needed), "no service {needed}");
    }
    let mut offences = Vec::new();
    for (name, service) in compose["services"].as_object().unwrap() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let missing = |what: &str, known: &BTreeSet<String>, used: Vec<String>| {
            used.into_iter()
                .filter(|one| !known.contains(one))
                .map(|one| format!("{name}: no {what} {one}"))
                .collect::<Vec<_>>()
        };
        let mounted = each(service, "volumes")
            .iter()
            .map(|v| text(v).split(':').next().unwrap_or_default().to_owned())
            .collect();
        offences.extend(missing("volume", &volumes, mounted));
        offences.extend(missing(
            "service",
            &services,
            each(service, "depends_on").iter().map(text).collect(),
        ));
        offences.extend(missing(
            "config",
            &configs,
            each(service, "configs").iter().map(|c| text(&c["source"])).collect(),
        ));
        if let Some(target) = service["build"]["target"].as_str() {
            let stage = format!(" AS {target}");
            assert!(containerfile.lines().any(|line| line.ends_with(&stage)), "no target {target}");
        }
    }
    expect_none("the compose file", &offences);
}
