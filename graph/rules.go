package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// validation are the validator's rules with three changes: without introspection no error suggests a name, and @oneOf is
// left to the directive, which sees variables, too, and names the choices.
func validation(hints bool) func() *rules.Rules {
	return func() *rules.Rules {
		all := rules.NewDefaultRules()
		values := rules.ValuesOfCorrectTypeRule
		if !hints {
			values = rules.ValuesOfCorrectTypeRuleWithoutSuggestions
			replace(all, rules.KnownArgumentNamesRule, rules.KnownArgumentNamesRuleWithoutSuggestions)
			replace(all, rules.KnownTypeNamesRule, rules.KnownTypeNamesRuleWithoutSuggestions)
		}
		all.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, exceptOneOf(values.RuleFunc))
		all.ReplaceRule(rules.VariablesInAllowedPositionRule.Name, exceptOneOf(rules.VariablesInAllowedPositionRule.RuleFunc))
		return all
	}
}

func replace(all *rules.Rules, old, by core.Rule) {
	all.RemoveRule(old.Name)
	all.AddRule(by.Name, by.RuleFunc)
}

// exceptOneOf is a rule that keeps silent about @oneOf. The validator tells its errors apart by their text alone; a test
// notices when a new version has others.
func exceptOneOf(rule core.RuleFunc) core.RuleFunc {
	return func(observers *core.Events, add core.AddErrFunc) {
		rule(observers, func(options ...core.ErrorOption) {
			if !aboutOneOf(options) {
				add(options...)
			}
		})
	}
}

func aboutOneOf(options []core.ErrorOption) bool {
	var e gqlerror.Error
	for _, set := range options {
		set(&e)
	}
	return strings.HasPrefix(e.Message, "OneOf Input Object ") ||
		strings.HasPrefix(e.Message, `Field "`) && strings.HasSuffix(e.Message, " must be non-null.") ||
		strings.Contains(e.Message, " must be non-nullable to be used for OneOf Input Object ")
}
