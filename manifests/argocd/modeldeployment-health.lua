-- Health of a ModelDeployment for Argo CD: resource.customizations.health.modelrollout.dev_ModelDeployment
-- A taken-back version is Degraded (a person has to act), a step that waits for approval is Suspended.
local hs = {status = "Progressing", message = "Waiting for the operator"}
local status = obj.status
if status == nil or status.observedGeneration == nil then
  return hs
end
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return hs
end
hs.message = status.message or ""
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition.status
end
if found["Stalled"] == "True" then
  hs.status = "Degraded"
elseif found["Ready"] == "True" then
  hs.status = "Healthy"
elseif status.phase == "Paused" then
  hs.status = "Suspended"
end
return hs
