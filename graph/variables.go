package graph

import "github.com/vektah/gqlparser/v2/ast"

// argumentOf finds the argument, or the part of one, that a variable is for; nil where it is for none.
func argumentOf(set ast.SelectionSet, variable string) ast.Path {
	return argumentIn(set, variable, map[*ast.FragmentDefinition]bool{})
}

// argumentIn looks into each fragment once: spread again, it has the same arguments.
func argumentIn(set ast.SelectionSet, variable string, seen map[*ast.FragmentDefinition]bool) ast.Path {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			for _, a := range s.Arguments {
				if path := placeOf(a.Value, variable, ast.Path{ast.PathName(a.Name)}); path != nil {
					return path
				}
			}
			if path := argumentIn(s.SelectionSet, variable, seen); path != nil {
				return path
			}
		case *ast.InlineFragment:
			if path := argumentIn(s.SelectionSet, variable, seen); path != nil {
				return path
			}
		case *ast.FragmentSpread:
			if seen[s.Definition] {
				continue
			}
			seen[s.Definition] = true
			if path := argumentIn(s.Definition.SelectionSet, variable, seen); path != nil {
				return path
			}
		}
	}
	return nil
}

// placeOf looks for a variable in a literal.
func placeOf(v *ast.Value, variable string, at ast.Path) ast.Path {
	if v.Kind == ast.Variable {
		if v.Raw == variable {
			return at
		}
		return nil
	}
	for i, child := range v.Children {
		step := ast.PathElement(ast.PathName(child.Name))
		if v.Kind == ast.ListValue {
			step = ast.PathIndex(i)
		}
		if path := placeOf(child.Value, variable, append(at[:len(at):len(at)], step)); path != nil {
			return path
		}
	}
	return nil
}
