select
    owner,
    case {{ [language] | where_in }} when 'ko' then rule_name else rule_name_en end as rule,
    question_no,
    case {{ [language] | where_in }} when 'ko' then question else question_en end as question,
    choice_no,
    case
        when choice_no = 0 then {{ [own_words] | where_in }}
        when {{ [language] | where_in }} = 'ko' then choice
        else choice_en
    end as choice,
    responses
from mart.survey_choice
