# SPDX-License-Identifier: Apache-2.0
sluice_fuzzer(policy SOURCES fuzz_policy.c USES policy)
sluice_fuzzer(policy_regex SOURCES fuzz_policy_regex.c USES policy)
sluice_fuzzer(policy_allow SOURCES fuzz_policy_allow.c USES policy)
sluice_fuzzer(agent_settings SOURCES fuzz_agent_settings.c USES policy)
