"""The list of rules for the manifests of all components. docs/dev/kubernetes.md gives the reasons for the rules.

A rule is a function that checks a folder of manifests and yields complaints. The rule is named after the function. If a
block of a manifest must break a rule, a comment inside or directly above the block must declare the exception:
`# exception RULE: reason`. In addition, KNOWN_EXCEPTIONS must list the rule for the component.
"""

from __future__ import annotations

from tests.manifests import container_rules, object_rules, port_rules
from tests.manifests.complaint import Rule, exceptions
from tests.manifests.manifest import Folder

# The rules that a component may break if a comment in the manifest gives the reason.
KNOWN_EXCEPTIONS = {
    "filebeat": {"nothing-of-the-node", "run-as-non-root"},
    "fileserver": {"run-as-non-root", "capabilities", "seccomp"},
    "hub": {"run-as-non-root", "capabilities", "no-secret-in-environment", "probes"},
}
RULES: tuple[Rule, ...] = (
    object_rules.one_object_per_file,
    object_rules.no_kustomization,
    object_rules.schema,
    object_rules.same_namespace_file,
    object_rules.namespaces_first,
    object_rules.namespace,
    object_rules.labels,
    object_rules.selectors,
    object_rules.no_secret,
    object_rules.no_site_settings,
    container_rules.no_secret_in_environment,
    container_rules.images,
    container_rules.run_as_non_root,
    container_rules.seccomp,
    container_rules.capabilities,
    container_rules.no_escalation,
    container_rules.read_only_root,
    container_rules.nothing_of_the_node,
    container_rules.service_account_token,
    container_rules.resources,
    port_rules.named_ports,
    port_rules.metrics,
    port_rules.probes,
    port_rules.probe_numbers,
    port_rules.services_reach_pods,
    port_rules.network_policies,
)


def rule_name(rule: Rule) -> str:
    """Return the name of a rule as it appears in comments and complaints: with hyphens."""
    return rule.__name__.replace("_", "-")


def violations(folder: Folder, rule: Rule, known: dict[str, set[str]] = KNOWN_EXCEPTIONS) -> list[str]:
    """Return the complaints of a rule about a folder.

    A complaint is excused if a comment declares the exception and `known` lists it.
    """
    name, component = rule_name(rule), folder.path.parent.name
    found: list[str] = []
    for complaint in rule(folder):
        if name not in complaint.exceptions:
            found.append(f"{complaint} ({name})")
        elif name not in known.get(component, set()):
            found.append(f"{complaint} ({name}; the exception is not in KNOWN_EXCEPTIONS of {component})")
    return found


def needless_exceptions(folder: Folder, known: dict[str, set[str]] = KNOWN_EXCEPTIONS) -> list[str]:
    """Return the exceptions, declared in comments or in `known`, of rules that the folder does not break."""
    declared = {name for manifest in folder.manifests for name in exceptions(manifest.comments(manifest.body))}
    broken = {rule_name(rule) for rule in RULES if any(rule(folder))}
    return sorted((declared | known.get(folder.path.parent.name, set())) - broken)
